"""The benchmark's comparer: other spellings are equal, other variants are not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from infra.local.demo_variants import haplotype
from shared.formats.bcftools import run_bcftools
from tests.bench.truth_compare import Event, Verdicts, compare, read_events, scores
from tests.bench.truth_data import make_donor, synthetic_reference
from tests.bench.truth_donor import DonorModel, TruthDonor

CONTIG = "c"
#             0         1         2         3         4
#             0123456789012345678901234567890123456789012345
REFERENCE = b"GATTACAGGCATCTTTTTTGCACACACACAGTCGATCGGCTAAGTC" + b"GTACCATGCA" * 5
CONTIGS = {CONTIG: np.frombuffer(REFERENCE, dtype=np.uint8)}
Record = tuple[int, str, str, str]
"""POS (1-based), REF, ALT, GT."""


def events(folder: Path, *records: Record) -> list[Event]:
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={CONTIG},length={len(REFERENCE)}>",
        '##FILTER=<ID=LowQual,Description="weak">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tsample",
    ]
    for pos, ref, alt, genotype in sorted(records):
        assert REFERENCE[pos - 1 :].startswith(ref.encode())
        lines.append(f"{CONTIG}\t{pos}\t.\t{ref}\t{alt}\t50\t.\t.\tGT\t{genotype}")
    path = folder / "some.vcf"
    path.write_text("\n".join(lines) + "\n")
    return read_events(path, CONTIGS)


def verdicts(folder: Path, truth: Sequence[Record], calls: Sequence[Record]) -> Verdicts:
    return compare(events(folder, *truth), events(folder, *calls), CONTIGS)


@pytest.mark.parametrize(
    ("truth", "calls"),
    [
        pytest.param([(3, "T", "C", "0|1")], [(3, "T", "C", "0/1")], id="the same"),
        pytest.param([(3, "T", "C", "0|1"), (4, "T", "G", "0|1")], [(3, "TT", "CG", "0/1")], id="two SNVs in a row"),
        pytest.param([(13, "CT", "C", "0|1")], [(18, "TT", "T", "0/1")], id="a deletion at a run's other end"),
        pytest.param([(20, "G", "GCA", "1|1")], [(30, "A", "ACA", "1/1")], id="an inserted unit at the other end"),
        pytest.param(
            [(13, "C", "CT", "1|0"), (13, "CT", "C", "0|1")], [(13, "CT", "CTT,C", "1/2")], id="two ALTs in one record"
        ),
        pytest.param(
            [(33, "C", "CA", "0|1"), (34, "G", "T", "0|1")], [(34, "G", "AT", "0/1")], id="insertion and SNV as one"
        ),
        pytest.param(
            [(10, "C", "G", "0|1")], [(9, "G", "GG", "0/1"), (10, "CA", "A", "0/1")], id="an SNV as two indels"
        ),
        pytest.param(
            [(20, "GCA", "G", "0|1"), (20, "G", "A", "0|1")], [(20, "GCA", "A", "0/1")], id="a deletion beside an SNV"
        ),
    ],
)
def test_other_spellings_of_the_same_haplotypes_are_found_with_their_genotype(
    tmp_path: Path, truth: list[Record], calls: list[Record]
) -> None:
    found = verdicts(tmp_path, truth, calls)
    assert all(found.truth), found
    assert all(found.same_genotype), found
    assert all(found.calls), found


@pytest.mark.parametrize(
    ("truth", "calls"),
    [
        pytest.param([(3, "T", "C", "0|1")], [(3, "T", "G", "0/1")], id="another base"),
        pytest.param([(13, "CT", "C", "0|1")], [(13, "CTT", "C", "0/1")], id="another length"),
        pytest.param([(20, "G", "GCA", "1|1")], [(22, "A", "ACT", "1/1")], id="another insertion"),
        pytest.param([(3, "T", "C", "0|1")], [], id="nothing"),
    ],
)
def test_other_alleles_are_not_found(tmp_path: Path, truth: list[Record], calls: list[Record]) -> None:
    found = verdicts(tmp_path, truth, calls)
    assert not any(found.truth)
    assert not any(found.calls)


def test_an_allele_with_another_genotype_is_found_without_its_genotype(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path, [(13, "CT", "C", "0|1"), (40, "C", "T", "1|1")], [(13, "CT", "C", "1/1"), (40, "C", "T", "1/1")]
    )
    assert found == Verdicts([True, True], [False, True], [True, True])


def test_calls_of_one_haplotype_are_not_replayed_on_two_when_the_genotype_ties_them(tmp_path: Path) -> None:
    truth = [(33, "C", "CAT", "0|1"), (33, "C", "CA", "1|0")]
    assert all(verdicts(tmp_path, truth, [(33, "C", "CAT,CA", "1/2")]).same_genotype)
    # Both insertions one behind the other would be another haplotype.
    assert not any(verdicts(tmp_path, truth, [(33, "C", "CATA", "0/1")]).truth)


def test_one_true_and_one_false_allele_beside_each_other_are_told_apart(tmp_path: Path) -> None:
    truth = [(33, "C", "A", "0|1")]
    found = verdicts(tmp_path, truth, [(33, "C", "A", "0/1"), (36, "T", "TG", "0/1")])
    assert found == Verdicts([True], [True], [True, False])


@pytest.fixture(scope="module")
def donor(tmp_path_factory: pytest.TempPathFactory) -> tuple[TruthDonor, Path, list[Event]]:
    """One with four times as many variants as usual and many of them near each other."""
    model = DonorModel(spacing_bp=150, companions=0.3, two_alts=0.1, mnvs=0.1, indels=0.4)
    return make_donor(synthetic_reference(60_000), 5, tmp_path_factory.mktemp("donor"), model)


def test_a_donor_equals_itself_written_as_one_record_per_neighbourhood(
    donor: tuple[TruthDonor, Path, list[Event]], tmp_path: Path
) -> None:
    made, _, truth = donor
    path, rows = tmp_path / "truth.vcf", []
    header = [line for line in (donor[1].parent / "truth.vcf").read_text().splitlines() if line.startswith("#")]
    blocks = 0
    for name, bases in made.contigs.items():
        variants = [variant for variant in made.variants if variant.allele.contig == name]
        while variants:
            block = [variants.pop(0)]
            while variants and variants[0].start <= block[-1].end + 8:
                block.append(variants.pop(0))
            start, end = block[0].start - 1, max(variant.end for variant in block)
            ref = bases[start:end].tobytes().decode()
            alts = []
            for number in (0, 1):
                whole = haplotype(bases[:end], block, number)
                alts.append(whole[start:].tobytes().decode())
            distinct = [alt for alt in dict.fromkeys(alts) if alt != ref]
            if not distinct:
                continue
            numbers = sorted(distinct.index(alt) + 1 if alt != ref else 0 for alt in alts)
            row = (name, start + 1, ".", ref, ",".join(distinct), 50, "PASS", ".", "GT", f"{numbers[0]}/{numbers[1]}")
            rows.append("\t".join(map(str, row)))
            blocks += len(block) > 1
    path.write_text("\n".join([*header, *rows]) + "\n")
    calls = read_events(path, made.contigs)
    found = compare(truth, calls, made.contigs)
    assert blocks > 20
    assert sum(found.truth) == len(truth)
    assert sum(found.calls) == len(calls)
    assert sum(found.same_genotype) == len(truth)


def test_what_is_missing_and_what_is_too_much_is_counted_exactly(donor: tuple[TruthDonor, Path, list[Event]]) -> None:
    made, _, truth = donor
    dropped = truth[::7]
    kept = [event for event in truth if event not in dropped]
    by_kind = scores(truth, kept, made.contigs)
    assert sum(s.truth - s.found for kind, s in by_kind.items() if kind != "indel") == len(dropped)
    assert all(s.precision == 1 for s in by_kind.values())
    assert all(s.recall == 1 for s in scores(kept, truth, made.contigs).values())


def test_alleles_are_left_aligned_as_bcftools_norm_does_it(
    donor: tuple[TruthDonor, Path, list[Event]], tmp_path: Path
) -> None:
    made, fasta, _ = donor
    shifted = []
    for variant in made.variants:
        allele, bases = variant.allele, made.contigs[variant.allele.contig]
        size = abs(len(allele.alt) - len(allele.ref))
        if size and min(len(allele.alt), len(allele.ref)) == 1:
            behind = bases[variant.end : variant.end + 30].tobytes().decode()  # the same, with more bases behind
            shifted.append((allele.contig, allele.pos, allele.ref + behind, allele.alt + behind))
    header = [line for line in (fasta.parent / "truth.vcf").read_text().splitlines() if line.startswith("#")]
    rows = [f"{c}\t{p}\t.\t{r}\t{a}\t.\tPASS\t.\tGT\t0/1" for c, p, r, a in shifted]
    (tmp_path / "shifted.vcf").write_text("\n".join([*header, *rows]) + "\n")
    out = tmp_path / "normal.vcf"
    run_bcftools("norm", "-f", str(fasta), "-Ov", "-o", str(out), str(tmp_path / "shifted.vcf"))
    theirs = [line.split("\t") for line in out.read_text().splitlines() if not line.startswith("#")]
    ours = read_events(tmp_path / "shifted.vcf", made.contigs)
    assert len(ours) > 50
    assert {(e.contig, *e.key) for e in ours} == {(c[0], int(c[1]) - 1, c[3].encode(), c[4].encode()) for c in theirs}
