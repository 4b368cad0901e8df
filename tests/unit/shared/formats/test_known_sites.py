"""Known sites: of this reference, sorted, without what the reference cannot have."""

from pathlib import Path

import pysam
import pytest

from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.known_sites import KnownSitesSummary, prepare_known_sites

CONTIGS = (Contig("chr1", 400), Contig("chr2", 8))
HEADER = "##fileformat=VCFv4.2\n##dbSNP_BUILD_ID=135\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "reference.fa"
    path.write_text(">chr1\n" + "ACGT" * 100 + "\n>chr2\nTTTTACGT\n")
    pysam.faidx(str(path))  # type: ignore[attr-defined]
    return path


def prepare(tmp_path: Path, fasta: Path, *rows: str) -> tuple[KnownSitesSummary, list[str]]:
    source = tmp_path / "dbsnp.vcf"
    source.write_text(HEADER + "".join(f"{row}\n".replace(" ", "\t") for row in rows))
    out = tmp_path / "known-sites-1.vcf.gz"
    summary = prepare_known_sites(source, fasta, CONTIGS, out)
    with pysam.TabixFile(str(out)) as found:
        return summary, list(found.fetch())


def test_sites_get_the_names_of_the_reference_and_lose_their_info(tmp_path: Path, fasta: Path) -> None:
    rows = ("1 2 rs1 C T . . RS=1", "1 5 rs2 ac A . . .", "2 5 rs3 A <DEL> . . .", "GL1 7 rs4 A G . . .")
    summary, written = prepare(tmp_path, fasta, *rows)
    assert summary == KnownSitesSummary("dbSNP 135", written=3, other_contigs=1, wrong_reference=0)
    assert [line.split("\t") for line in written] == [
        ["chr1", "2", "rs1", "C", "T", ".", ".", "."],
        ["chr1", "5", "rs2", "AC", "A", ".", ".", "."],
        ["chr2", "5", "rs3", "A", "<DEL>", ".", ".", "."],
    ]


def test_a_few_wrong_records_are_left_out_and_many_are_another_build(tmp_path: Path, fasta: Path) -> None:
    right = [f"chr1 {1 + 4 * (i // 2)} rs{i} A C . . ." for i in range(200)]
    summary, written = prepare(tmp_path, fasta, *right, "chr2 1 rs9 G C . . .")
    assert (summary.wrong_reference, len(written)) == (1, 200)
    with pytest.raises(PermanentError, match=r"1 of 2 records .*line 5: chr2:1 has REF G, the reference T"):
        prepare(tmp_path, fasta, "chr1 1 rs1 A C . . .", "chr2 1 rs9 G C . . .")
    with pytest.raises(PermanentError, match=r"0 of 0 records .*Give known sites of this genome build"):
        prepare(tmp_path, fasta, "GL1 7 rs4 A G . . .")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["chr1 5 . A C . . .", "chr1 1 . A C . . ."], r"line 5: chr1:1 comes after chr1:5; the file is not sorted"),
        (["chr1 5 . A C . . .", "chr2 5 . A C . . .", "chr1 9 . A C . . ."], "is not sorted"),
        (["chr1 five . A C . . ."], r"line 4: this is no VCF"),
    ],
)
def test_what_is_no_sorted_vcf_is_refused_with_its_line(
    tmp_path: Path, fasta: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        prepare(tmp_path, fasta, *rows)
