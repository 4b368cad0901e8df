"""Ploidy by region and targets: what is called there is what the whole genome's call says there, byte for byte."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_worker.engine.bgzf import read_bgzf
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.header import read_dict
from shared.domain.genome import Contig, Interval, Shard, cut_shards
from shared.domain.intervals import Intervals, intersected, merged, subtracted
from shared.domain.karyotype import CallRegion
from shared.formats.gvcf import ReferenceBlock, parse_block
from shared.steps.gather_files import gather_gvcfs, gather_vcfs
from tests.engine_pipeline import HALO_BP, align_all

SHARDS_BP = (10**9, 3_017, 2_012)


@pytest.fixture(scope="module")
def contigs(reference) -> tuple[Contig, ...]:
    return read_dict(reference.with_name("reference.fa.dict"))


@pytest.fixture(scope="module")
def parts(world, reference, contigs, tmp_path_factory) -> dict[int, list[list[Path]]]:
    """The BAM parts, by shard size, chunk and shard."""
    work = tmp_path_factory.mktemp("parts")
    return {
        shard_bp: [
            [part.path for part in summary.parts]
            for summary in align_all(world, reference, work / str(shard_bp), cut_shards(contigs, shard_bp), 10**6)
        ]
        for shard_bp in SHARDS_BP
    }


class Called:
    """The gathered records of one way to call."""

    def __init__(self, summaries: list[CallSummary], folder: Path) -> None:
        self.summaries = summaries
        vcf = gather_vcfs([one.vcf for one in summaries], folder / "all.vcf.gz")
        gvcf = gather_gvcfs([one.gvcf for one in summaries], folder / "all.g.vcf.gz")
        self.vcf = [line for line in read_bgzf(vcf.path).decode().splitlines() if not line.startswith("#")]
        self.gvcf = [line for line in read_bgzf(gvcf.path).decode().splitlines() if not line.startswith("#")]

    @property
    def variants(self) -> list[str]:
        return [line for line in self.gvcf if line.split("\t")[4] != "."]

    @property
    def blocks(self) -> list[ReferenceBlock]:
        return [block for line in self.gvcf if (block := parse_block(line))]


@pytest.fixture(scope="module")
def call(reference, contigs, parts, tmp_path_factory):
    def call_all(shard_bp: int = 10**9, **options) -> Called:
        shards = cut_shards(contigs, shard_bp)
        return call_world(parts[shard_bp], shards, reference, tmp_path_factory.mktemp("called"), **options)

    return call_all


def call_world(
    parts: Sequence[Sequence[Path]],
    shards: Sequence[Shard],
    reference: Path,
    folder: Path,
    *,
    regions: Sequence[CallRegion] | None = None,
    targets: Intervals | None = None,
    ploidy: int = 2,
) -> Called:
    """Call every shard from the parts of every chunk, and gather."""
    folder.mkdir(exist_ok=True)

    def within(shard: Shard) -> list[CallRegion] | None:
        if regions is None:
            return None
        found = [CallRegion(one.ploidy, intersected(shard.intervals, one.intervals)) for one in regions]
        return [one for one in found if one.intervals]

    summaries = [
        call_shard(
            [chunk[shard.number] for chunk in parts],
            shard=shard,
            reference=reference,
            halo_bp=HALO_BP,
            options=CallOptions(ploidy=ploidy),
            out_dir=folder / str(shard.number),
            log=folder / "log",
            regions=within(shard),
            targets=targets,
        )
        for shard in shards
    ]
    return Called(summaries, folder)


@pytest.fixture(scope="module")
def diploid(call) -> Called:
    return call()


@pytest.fixture(scope="module")
def haploid(call) -> Called:
    return call(ploidy=1)


def place(line: str) -> tuple[str, int]:
    contig, pos, _ = line.split("\t", 2)
    return contig, int(pos) - 1


def lies_in(contig: str, start: int, end: int, intervals: Intervals) -> bool:
    return any(one.contig == contig and one.start < end and start < one.end for one in intervals)


def is_on_target(line: str, targets: Intervals) -> bool:
    """The rule in other words: POS, or a deleted base, lies in a target."""
    contig, start = place(line)
    ref, alts = line.split("\t")[3:5]
    deleted = max([0, *(len(ref) - len(alt) for alt in alts.split(","))])
    return any(lies_in(contig, at, at + 1, targets) for at in range(start, start + 1 + deleted))


def covered(blocks: list[ReferenceBlock]) -> list[tuple[str, int, str]]:
    return [(block.contig, at, block.genotype) for block in blocks for at in range(block.start, block.end)]


def random_targets(contigs, seed: int, count: int, longest: int) -> Intervals:
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        contig = rng.choice(contigs)
        start = rng.randrange(contig.length)
        found.append(Interval(contig.name, start, min(contig.length, start + rng.randint(1, longest))))
    return merged(found, contigs)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("seed", "count", "longest", "shard_bp"),
    [(1, 12, 300, 10**9), (3, 400, 3, 3_017), (8, 4, 4_000, 2_012)],
)
def test_targets_give_the_whole_genomes_records_inside_them(call, diploid, contigs, seed, count, longest, shard_bp):
    targets = random_targets(contigs, seed, count, longest)
    found = call(shard_bp, targets=targets)
    expected = [line for line in diploid.variants if is_on_target(line, targets)]
    assert found.variants == expected
    assert len(expected) > 3
    if longest < 10:  # the deletion of a target's base whose POS lies before the target
        assert any(not lies_in(*place(line), place(line)[1] + 1, targets) for line in expected)
    assert set(found.vcf) <= set(diploid.vcf)
    originals = {place(line)[1] for line in expected}
    assert {place(line)[1] for line in found.vcf if "ORIGINAL=" not in line} <= originals
    inside = [one for one in covered(diploid.blocks) if lies_in(one[0], one[1], one[1] + 1, targets)]
    assert covered(found.blocks) == inside
    called_bp = sum(one.depth.callable_bp for one in found.summaries)
    assert called_bp == sum(t.length for t in subtracted(targets, (Interval("chrA", 6_500, 6_600),)))
    assert sum(one.on_target for one in found.summaries) > 0


@pytest.mark.thorough
def test_every_shard_cut_gives_the_same_blocks_at_targets_edges(call, contigs):
    targets = random_targets(contigs, 5, 30, 200)
    whole = call(targets=targets)
    for shard_bp in SHARDS_BP[1:]:
        cut = call(shard_bp, targets=targets)
        assert cut.gvcf == whole.gvcf
        assert cut.vcf == whole.vcf
        for count in ("callable_bp", "depth_sum"):
            assert sum(getattr(one.depth, count) for one in cut.summaries) == getattr(whole.summaries[0].depth, count)
        assert sum(one.on_target for one in cut.summaries) == whole.summaries[0].on_target


@pytest.mark.thorough
@pytest.mark.parametrize(("shard_bp", "edge"), [(10**9, 2_500), (3_017, 3_017), (2_012, 3_000)])
def test_each_region_has_its_ploidy_up_to_its_last_base(call, diploid, haploid, contigs, shard_bp, edge):
    everything = tuple(Interval(contig.name, 0, contig.length) for contig in contigs)
    single = (Interval("chrA", 1_400, edge), Interval("chrB", 0, 700))
    uncalled = (Interval("chrA", 5_000, 5_600), Interval("chrC", 0, 90))
    double = subtracted(subtracted(everything, single), uncalled)
    found = call(shard_bp, regions=[CallRegion(2, double), CallRegion(1, single), CallRegion(0, uncalled)])
    expected = [line for line in diploid.variants if lies_in(*place(line), place(line)[1] + 1, double)]
    once = [line for line in haploid.variants if lies_in(*place(line), place(line)[1] + 1, single)]
    assert len(once) > 3
    rank = {contig.name: i for i, contig in enumerate(contigs)}
    assert found.variants == sorted(expected + once, key=lambda line: (rank[place(line)[0]], place(line)[1]))
    assert all(line.split("\t")[9].split(":")[0] in {"1", "0"} for line in once)
    genotypes = {(contig, at): genotype for contig, at, genotype in covered(found.blocks)}
    assert (
        genotypes.items()
        == {
            **{(c, at): g for c, at, g in covered(diploid.blocks) if lies_in(c, at, at + 1, double)},
            **{(c, at): g for c, at, g in covered(haploid.blocks) if lies_in(c, at, at + 1, single)},
        }.items()
    )
    assert {genotype for (contig, _), genotype in genotypes.items() if contig == "chrB"} >= {"0", "0/0"}


def test_a_shard_of_which_nothing_is_called_has_files_without_records(call, diploid, contigs):
    nothing = call(2_012, regions=[CallRegion(0, tuple(Interval(c.name, 0, c.length) for c in contigs))])
    assert nothing.gvcf == []
    assert nothing.vcf == []
    assert sum(one.reads.records for one in nothing.summaries) == diploid.summaries[0].reads.records
    assert sum(one.depth.callable_bp for one in nothing.summaries) == 0


def test_a_panel_walks_little_of_the_genome(call, contigs, monkeypatch):
    walked = []
    from batch_worker.engine import call as module

    real = module.commands.mpileup

    def watched(bam, **options):
        walked.extend(options["targets_bed"].read_text().splitlines())
        return real(bam, **options)

    monkeypatch.setattr(module.commands, "mpileup", watched)
    call(targets=(Interval("chrA", 4_000, 4_010),))
    pieces = [line.split("\t") for line in walked]
    assert pieces
    assert all(contig == "chrA" and 3_600 < int(start) < int(end) < 4_400 for contig, start, end in pieces)
