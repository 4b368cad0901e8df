"""The benchmark's donor and reads: what is planted is in the reads, and the errors are those that were asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infra.local.demo_genome import reverse_complement
from infra.local.demo_variants import haplotype
from infra.local.simulate import QUALITIES, ReadPairs
from tests.bench.truth_data import make_donor, make_sample, synthetic_reference
from tests.bench.truth_donor import DonorModel, TruthDonor, make_truth_donor
from tests.bench.truth_reads import ReadFaults, pairs_for_depth, simulate_truth_pairs

FLAWLESS = ReadFaults(
    short=0, duplicates=0, pcr_errors=0, stutter=0, stutter_most=0, indels=0, weak=(0, 0), broken=0,
    after_ggc=1, gc_bias=0,
)  # fmt: skip
"""Without faults but the errors of the best bases."""


@pytest.fixture(scope="module")
def donor() -> TruthDonor:
    return make_truth_donor(synthetic_reference(300_000), DonorModel(), np.random.default_rng(3))


@pytest.fixture(scope="module")
def genome(donor: TruthDonor) -> list[np.ndarray]:
    variants = donor.variants
    return [
        haplotype(bases, [v for v in variants if v.allele.contig == name], number)
        for name, bases in donor.contigs.items()
        for number in (0, 1)
    ]


def simulate(genome: list[np.ndarray], faults: ReadFaults, pairs: int = 4_000, seed: int = 1) -> ReadPairs:
    return simulate_truth_pairs(genome, pairs, faults, np.random.default_rng(seed))


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(tmp_path: Path) -> None:
    reference = synthetic_reference(30_000)
    one, again, other = (
        make_sample(reference, seed, 4, tmp_path / name) for seed, name in ((7, "one"), (7, "again"), (8, "other"))
    )
    assert one.r1.read_bytes() == again.r1.read_bytes()
    assert one.fasta.read_bytes() == again.fasta.read_bytes()
    assert one.truth == again.truth
    assert one.r1.read_bytes() != other.r1.read_bytes()


def test_the_donor_does_not_depend_on_the_depth(tmp_path: Path) -> None:
    reference = synthetic_reference(30_000)
    samples = [make_sample(reference, 7, depth, tmp_path / str(depth)) for depth in (2, 5)]
    assert samples[0].truth == samples[1].truth
    assert samples[0].pairs < samples[1].pairs


def test_the_donor_has_the_rates_that_were_asked_for(tmp_path: Path) -> None:
    _, _, truth = make_donor(synthetic_reference(1_000_000), 3, tmp_path)
    indels = [event for event in truth if event.kind != "SNV"]
    homozygous = [event for event in truth if event.copies == 2]
    assert 1_200 < len(truth) < 1_900
    assert 0.12 < len(indels) / len(truth) < 0.24
    assert 1.4 < (len(truth) - len(homozygous)) / len(homozygous) < 2.2
    sizes = [abs(len(event.alt) - (event.end - event.start)) for event in indels]
    assert max(sizes) <= 50
    assert sum(size > 15 for size in sizes) >= 5


def test_copies_are_like_their_source_but_not_equal(donor: TruthDonor) -> None:
    changed = sum(int((donor.contigs[n] != b).sum()) for n, b in synthetic_reference(300_000).items())
    covered = sum(end - start for _, start, end in donor.copies)
    assert changed > 0.01 * 300_000  # bases that copies have replaced
    assert covered > 0.05 * 300_000  # sources and copies


def test_reads_without_faults_are_pieces_of_a_haplotype(genome: list[np.ndarray]) -> None:
    reads = simulate(genome, FLAWLESS, pairs=300)
    text = b"|".join(part.tobytes() for part in genome)
    whole = text + b"|" + b"|".join(reverse_complement(part).tobytes() for part in genome)
    rows = [row.tobytes() for mate in reads.bases for row in mate]
    share = sum(row in whole for row in rows) / len(rows)
    assert share > 0.93  # Q37: 3 % of the reads have an error


def test_the_qualities_foretell_the_errors_fall_along_the_read_and_are_worse_in_r2(genome: list[np.ndarray]) -> None:
    faults = replace(FLAWLESS, weak=(0.015, 0.07), broken=0.04)
    reads = simulate(genome, faults)
    means = [
        (10.0 ** (-quality[:, part] / 10)).mean()
        for quality in map(np.float64, reads.qualities)
        for part in (slice(0, 50), slice(100, 150))
    ]
    assert means[0] < means[1]
    assert means[2] < means[3]
    assert means[1] < means[3]
    # A genome of one read's length: every read can be laid beside its template.
    plain = np.frombuffer(b"ACGT", dtype=np.uint8)[np.random.default_rng(2).integers(0, 4, 150)]
    beside = simulate([plain], replace(faults, fragment_bp=(150, 0)), pairs=20_000)
    left, right = plain, reverse_complement(plain)
    wrong, total = np.zeros(len(QUALITIES)), np.zeros(len(QUALITIES))
    for bases, quality in zip(beside.bases, beside.qualities, strict=True):
        is_left = ((bases == left).sum(axis=1) > 75)[:, None]
        differs = bases != np.where(is_left, left, right)
        for level, phred in enumerate(QUALITIES):
            wrong[level] += differs[quality == phred].sum()
            total[level] += (quality == phred).sum()
    for level in (1, 2, 3):
        assert wrong[level] / total[level] == pytest.approx(10 ** (-float(QUALITIES[level]) / 10), rel=0.15)


def test_copies_of_a_fragment_share_the_errors_of_pcr(genome: list[np.ndarray]) -> None:
    reads = simulate(genome[:1], replace(FLAWLESS, duplicates=0.5, pcr_errors=0.01))
    starts: dict[bytes, list[np.ndarray]] = {}
    for first, second in zip(*reads.bases, strict=True):
        starts.setdefault(first[:20].tobytes() + second[:20].tobytes(), []).append(first)
    families = [family for family in starts.values() if len(family) > 1]
    apart = [int((family[0] != copy).sum()) for family in families for copy in family[1:]]
    assert len(families) > 500
    assert np.mean(apart) < 0.2  # of 150 bases, 1.5 of which PCR has changed


def test_short_inserts_end_in_the_adapter(genome: list[np.ndarray]) -> None:
    reads = simulate(genome, replace(FLAWLESS, short=0.5))
    ends = [sum(b"AGATCGGAAGAGC" in row.tobytes() for row in mate) for mate in reads.bases]
    assert all(0.2 < count / len(reads) < 0.35 for count in ends)


def test_long_homopolymers_lose_and_gain_bases_in_some_fragments() -> None:
    unique = np.frombuffer(b"ACGT", dtype=np.uint8)[np.random.default_rng(2).integers(0, 4, 300)]
    run = np.frombuffer(b"C" + b"A" * 12 + b"G", dtype=np.uint8)
    genome = np.concatenate([unique[:150], run, unique[150:]])
    anchor, behind = unique[138:150].tobytes() + b"C", b"G" + unique[150:160].tobytes()
    reads = simulate([genome], replace(FLAWLESS, stutter=2e-4, stutter_most=0.25, fragment_bp=(280, 10)))
    lengths = []
    for mate in reads.bases:
        for row in mate:
            text = row.tobytes()
            if (start := text.find(anchor)) >= 0 and (end := text.find(behind, start)) > 0:
                lengths.append(end - start - len(anchor))
    slipped = np.array([length for length in lengths if length != 12])
    assert 0.005 < len(slipped) / len(lengths) < 0.08
    assert set(slipped.tolist()) == {11, 13}


def test_depth_falls_with_extreme_gc_and_is_what_was_asked_for() -> None:
    rng = np.random.default_rng(4)
    poor, rich = (
        rng.choice(np.frombuffer(b"ACGT", dtype=np.uint8), 50_000, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])
        for gc in (0.42, 0.7)
    )
    reads = simulate([poor, rich], replace(FLAWLESS, gc_bias=14.0))
    gc = np.isin(reads.bases[0], np.frombuffer(b"GC", dtype=np.uint8)).mean(axis=1)
    assert 1.5 < (gc < 0.56).sum() / (gc >= 0.56).sum() < 6
    assert pairs_for_depth(30, 1_000_000, ReadFaults()) == 100_000
