"""The comparison with the truth counts what it should, however variants are spelled."""

from pathlib import Path

import pytest

from infra.local.compare import Score, compare

SEQUENCE = "ACGTACGTTTTTGCATGCCAGATTACAGGCATCGATCGCCTAGGATCCAATTGGCC"


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(f">demo1\n{SEQUENCE}\n")
    return path


def write_vcf(path: Path, *rows: str) -> Path:
    """Rows are `pos ref alt genotype [filter]`."""
    head = (
        "##fileformat=VCFv4.2\n"
        '##FILTER=<ID=LowQual,Description="low">\n'
        f"##contig=<ID=demo1,length={len(SEQUENCE)}>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS\n"
    )
    lines = []
    for row in rows:
        pos, ref, alt, genotype, *filters = row.split()
        lines.append(f"demo1\t{pos}\t.\t{ref}\t{alt}\t50\t{filters[0] if filters else 'PASS'}\t.\tGT\t{genotype}\n")
    path.write_text(head + "".join(lines))
    return path


def scores(tmp_path: Path, fasta: Path, truth: list[str], called: list[str]) -> dict[tuple[str, str], Score]:
    found = compare(write_vcf(tmp_path / "truth.vcf", *truth), write_vcf(tmp_path / "called.vcf", *called), fasta)
    return {(score.kind, score.calls): score for score in found}


def test_a_file_is_equal_to_itself(tmp_path: Path, fasta: Path) -> None:
    rows = ["3 G A 0|1", "8 T TA 1|1"]
    for score in scores(tmp_path, fasta, rows, rows).values():
        assert (score.truth, score.called, score.found, score.same_genotype) == (1, 1, 1, 1)
        assert score.recall == score.precision == score.f1 == score.genotype_concordance == 1


def test_missed_and_wrong_calls_lower_recall_and_precision(tmp_path: Path, fasta: Path) -> None:
    score = scores(tmp_path, fasta, ["3 G A 0|1", "14 C T 0|1"], ["3 G A 0/1", "20 A G 0/1", "30 C G 0/1"])[
        "SNV", "all"
    ]
    assert (score.recall, score.precision, score.f1) == (1 / 2, 1 / 3, 2 / 5)


def test_the_same_indel_at_the_other_end_of_a_homopolymer_is_found(tmp_path: Path, fasta: Path) -> None:
    # TTTTT at 8..12 (1-based): one T lost, written at its left end and in its middle.
    score = scores(tmp_path, fasta, ["7 GT G 0|1"], ["10 TT T 0/1"])["indel", "all"]
    assert (score.found, score.same_genotype) == (1, 1)


def test_two_alleles_in_one_record_and_a_block_are_taken_apart(tmp_path: Path, fasta: Path) -> None:
    score = scores(
        tmp_path, fasta, ["3 G A 0|1", "3 G T 1|0", "14 C T 1|1", "15 A G 1|1"], ["3 G A,T 1/2", "14 CA TG 1/1"]
    )
    assert (score["SNV", "all"].truth, score["SNV", "all"].found, score["SNV", "all"].same_genotype) == (4, 4, 4)


def test_another_allele_at_the_same_place_is_not_found(tmp_path: Path, fasta: Path) -> None:
    assert scores(tmp_path, fasta, ["3 G A 0|1"], ["3 G C 0/1"])["SNV", "all"].found == 0


def test_the_wrong_number_of_copies_counts_against_the_genotypes_only(tmp_path: Path, fasta: Path) -> None:
    score = scores(tmp_path, fasta, ["3 G A 0|1"], ["3 G A 1/1"])["SNV", "all"]
    assert (score.recall, score.precision, score.genotype_concordance) == (1, 1, 0)


def test_filtered_calls_count_among_all_and_not_among_those_that_passed(tmp_path: Path, fasta: Path) -> None:
    found = scores(tmp_path, fasta, ["3 G A 0|1", "14 C T 0|1"], ["3 G A 0/1 LowQual", "14 C T 0/1 ."])
    assert (found["SNV", "PASS"].called, found["SNV", "PASS"].found) == (1, 1), "no filter applied counts as passed"
    assert (found["SNV", "all"].called, found["SNV", "all"].found) == (2, 2)


def test_records_that_the_sample_does_not_carry_do_not_count(tmp_path: Path, fasta: Path) -> None:
    assert scores(tmp_path, fasta, ["3 G A 0|1"], ["3 G A 0/0", "14 C T ./."])["SNV", "all"].called == 0


def test_nothing_to_find_and_nothing_called_is_no_fault(tmp_path: Path, fasta: Path) -> None:
    score = scores(tmp_path, fasta, [], [])["indel", "PASS"]
    assert (score.recall, score.precision, score.f1, score.genotype_concordance) == (1, 1, 1, 1)


def test_a_score_prints_its_figures() -> None:
    text = str(Score("SNV", "PASS", 4, 5, 3, 2))
    assert "recall 0.7500 precision 0.6000 F1 0.6667 genotype 0.6667" in text
