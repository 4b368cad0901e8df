"""Bases at common sites: against a count read by read, across cuts, and in mixtures of two people's reads."""

from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest

from batch_worker.engine.duplicates import find_duplicates, set_duplicate_flags
from batch_worker.engine.header import read_dict
from batch_worker.engine.index import build_index
from batch_worker.engine.packed import find_offsets, read_bam, records_of, spans_of
from batch_worker.engine.site_counts import MIN_BASE_QUALITY, MIN_MAPQ, count_sites, sites_of
from infra.local.simulate import ReadModel, fastq_text, simulate_pairs
from shared.domain.contamination import estimate_contamination
from shared.domain.fingerprint import compare, genotype
from shared.domain.genome import Contig, Interval, Shard, cut_shards
from shared.domain.sites import CommonSite, SiteCounts
from tests.engine_pipeline import Outcome, align_all, run_pipeline
from tests.simulate import World
from tests.unit.batch_worker.engine.test_single_reads import single_world


def every(world: World, step: int) -> list[CommonSite]:
    """A site every `step` bp of every contig; the ALT is arbitrary."""
    return [
        CommonSite(name, pos, letters[pos - 1], "ACGT"["ACGT".index(letters[pos - 1]) - 1], 0.5)
        for name, letters in world.contigs.items()
        for pos in range(1, len(letters) + 1, step)
        if letters[pos - 1] != "N"
    ]


def counted(outcome: Outcome) -> dict[tuple[str, int], tuple[int, int, int]]:
    return {
        (one.site.contig, one.site.pos): (one.ref, one.alt, one.other) for call in outcome.called for one in call.sites
    }


def read_by_read(bam_path: Path, sites: list[CommonSite]) -> dict[tuple[str, int], tuple[int, int, int]]:
    """The same by pysam's table of aligned pairs, one read at a time."""
    shown: dict[tuple[str, int], dict[str, tuple[int, bool, str]]] = {}
    with pysam.AlignmentFile(str(bam_path)) as bam:
        for read in bam.fetch(until_eof=True):
            if read.flag & (4 | 0x100 | 0x200 | 0x400 | 0x800) or read.mapping_quality < MIN_MAPQ:
                continue
            for inside, at in read.get_aligned_pairs(matches_only=True):
                quality = read.query_qualities[inside]
                if quality < MIN_BASE_QUALITY:
                    continue
                mates = shown.setdefault((read.reference_name, at + 1), {})
                mine = (quality, read.is_read1, read.query_sequence[inside])
                mates[read.query_name] = max(mates.get(read.query_name, mine), mine, key=lambda one: one[:2])
    found = {}
    for site in sites:
        letters = Counter(letter for _, _, letter in shown.get((site.contig, site.pos), {}).values())
        ref, alt = letters[site.ref], letters[site.alt]
        found[site.contig, site.pos] = (ref, alt, letters.total() - ref - alt)
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("singles", [(), ("L1", "L2"), ("L2",)], ids=["pairs", "single-end reads", "both"])
def test_counts_are_those_of_a_count_read_by_read_and_do_not_depend_on_cuts(
    world, reference, tmp_path, singles: tuple[str, ...]
) -> None:
    sites = every(world, 7)
    world = single_world(world, singles)
    whole = run_pipeline(world, reference, tmp_path / "whole", 10**9, common_sites=sites, singles=singles)
    found = counted(whole)
    assert found == read_by_read(whole.bam.path, sites)
    assert sum(alt for _, alt, _ in found.values()) > 50
    assert sum(other for _, _, other in found.values()) > 50
    cut = run_pipeline(world, reference, tmp_path / "cut", 4_017, 400, common_sites=sites, singles=singles)
    assert counted(cut) == found
    assert sum(len(call.sites) for call in cut.called) == len(sites)


def test_a_site_belongs_to_the_shard_that_holds_its_base() -> None:
    shard = Shard(0, (Interval("chrA", 10, 20), Interval("chrB", 0, 5)), is_last=False)
    places = [("chrA", 10), ("chrA", 11), ("chrA", 20), ("chrA", 21), ("chrB", 1), ("chrB", 6), ("chrC", 1)]
    sites = [CommonSite(contig, pos, "A", "C", 0.5) for contig, pos in places]
    assert [(site.contig, site.pos) for site in sites_of(shard, sites)] == [places[1], places[2], places[4]]


CONTIG_BP, SPACING_BP = 60_000, 150


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[CommonSite]]:
    dice = np.random.default_rng(3)
    letters = "".join(dice.choice(list("ACGT"), CONTIG_BP))
    folder = tmp_path_factory.mktemp("mixtures")
    (folder / "source.fa").write_text(f">chr1\n{letters}\n")
    sites = [
        CommonSite(
            "chr1", pos, letters[pos - 1], "ACGT"["ACGT".index(letters[pos - 1]) - 2], float(dice.uniform(0.2, 0.8))
        )
        for pos in range(SPACING_BP, CONTIG_BP - SPACING_BP, SPACING_BP)
    ]
    return letters, build_index(folder / "source.fa", folder / "index")[0], sites


def person(seed: int, letters: str, sites: list[CommonSite]) -> list[np.ndarray]:
    """Two haplotypes, each allele drawn from the population."""
    dice = np.random.default_rng([4, seed])
    haplotypes = []
    for _ in range(2):
        copy = bytearray(letters.encode())
        for site in sites:
            if dice.random() < site.frequency:
                copy[site.pos - 1] = ord(site.alt)
        haplotypes.append(np.frombuffer(bytes(copy), dtype=np.uint8))
    return haplotypes


def sequenced(genome: tuple[str, Path, list[CommonSite]], work: Path, alpha: float, seed: int) -> list[SiteCounts]:
    """Counts of 30x of one person's reads with a part `alpha` of another's."""
    letters, reference, sites = genome
    pairs = 30 * CONTIG_BP // 300
    foreign = round(pairs * alpha)
    text = []
    for who, count in ((1, pairs - foreign), (2, foreign)):
        if count:
            dice = np.random.default_rng([seed, who])
            reads = simulate_pairs(person(who, letters, sites), count, ReadModel(), dice)
            r1, r2 = (fastq_text(reads, mate, who, range(count)).split(b"@DEMO")[1:] for mate in (1, 2))
            text += [b"@DEMO" + one + b"@DEMO" + two for one, two in zip(r1, r2, strict=True)]
    world = World({"chr1": letters}, {"L1": b"".join(text)})
    shards = cut_shards(read_dict(reference.with_name("reference.fa.dict")), 10**9)
    (aligned,) = align_all(world, reference, work, shards, 10**6)
    _, _, data, start = read_bam(aligned.parts[0].path)
    records = records_of(np.array(memoryview(data)), find_offsets(data, start))
    spans = spans_of(records)
    set_duplicate_flags(records, find_duplicates(records, spans))
    return count_sites(records, spans.end, sites, [Contig("chr1", CONTIG_BP)])


@pytest.mark.parametrize(
    ("alpha", "within"),
    [
        (0, 0.003),
        pytest.param(0.01, 0.006, marks=pytest.mark.thorough),
        (0.03, 0.01),
        pytest.param(0.1, 0.025, marks=pytest.mark.thorough),
    ],
)
def test_mixed_reads_of_two_people_give_back_how_they_were_mixed(genome, tmp_path, alpha: float, within: float) -> None:
    counts = sequenced(genome, tmp_path, alpha, seed=5)
    estimate = estimate_contamination(counts)
    assert estimate is not None
    assert abs(estimate.fraction - alpha) <= within
    assert estimate.sites > 350
    # Identity: all but surely the person's own genotypes, and far from the other's.
    own = [genotype(one) for one in counts]
    letters, _, sites = genome
    agreement = [
        compare(
            own, {("chr1", s.pos): tuple(sorted(chr(h[s.pos - 1]) for h in person(who, letters, sites))) for s in sites}
        )
        for who in (1, 2)
    ]
    assert agreement[0].agreeing / agreement[0].shared > (0.99 if alpha < 0.1 else 0.9)
    assert agreement[1].agreeing / agreement[1].shared < 0.6
    assert agreement[0].shared > 350 if alpha < 0.1 else agreement[0].shared > 250
