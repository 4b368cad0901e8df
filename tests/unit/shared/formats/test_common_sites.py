"""Common sites: chosen from a source, read back, and tables of counts."""

from pathlib import Path

import pysam
import pytest

from shared.domain.genome import Contig
from shared.domain.sites import CommonSite, SiteCounts
from shared.errors import PermanentError
from shared.formats import common_sites
from shared.formats.common_sites import prepare_common_sites, read_common_sites
from shared.formats.site_table import read_site_table, write_site_table

LETTERS = "ACGT" * 1_000
CONTIGS = (Contig("chr2", 4_000), Contig("chr1", 4_000), Contig("chrX", 4_000), Contig("chrM", 4_000))


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "reference.fa"
    path.write_text("".join(f">{contig.name}\n{LETTERS}\n" for contig in CONTIGS))
    pysam.faidx(str(path))
    return path


def row(contig: str, pos: int, af: str = "AF=0.3", ref: str = "", alt: str = "", filters: str = "PASS") -> str:
    base = ref or LETTERS[pos - 1]
    return f"{contig}\t{pos}\trs1\t{base}\t{alt or 'ACGT'['ACGT'.index(base[0]) - 1]}\t.\t{filters}\tDP=9;{af};AN=2\n"


def source(path: Path, *rows: str) -> Path:
    path.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(rows))
    return path


def test_only_usable_sites_are_taken_and_the_others_are_told(tmp_path: Path, fasta: Path) -> None:
    vcf = source(
        tmp_path / "all.vcf",
        row("1", 401),
        row("1", 450),  # a read could show both
        row("1", 700, "AF=0.04"),
        row("1", 900, "AF=0.97"),
        row("1", 1_100, alt="G,T"),
        row("1", 1_300, ref="AC"),
        row("1", 1_500, filters="LowQual"),
        row("1", 1_700, "AC=3;MAF=0.3"),
        row("chr2", 3_000, "AF=5.5e-01", filters="."),
        row("X", 100),
        row("MT", 100),
        row("7", 100),
    )
    out, again = tmp_path / "sites.vcf.gz", tmp_path / "again.vcf.gz"
    summary = prepare_common_sites(vcf, fasta, CONTIGS, out)
    prepare_common_sites(vcf, fasta, CONTIGS, again)
    assert out.read_bytes() == again.read_bytes()
    # In the order of the reference, under its names.
    assert read_common_sites(out) == [CommonSite("chr2", 3_000, "T", "G", 0.55), CommonSite("chr1", 401, "A", "T", 0.3)]
    assert (summary.records, summary.written) == (12, 2)
    assert sum(summary.left_out.values()) == 10
    assert summary.left_out["not on an autosome"] == 3
    assert summary.left_out["too rare or too common"] == 2


def test_of_too_many_sites_each_stretch_keeps_the_one_nearest_to_one_half(
    tmp_path: Path, fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common_sites, "MAX_SITES", 16)  # a site per 1,000 bp
    rows = [row("1", pos, f"AF={0.2 + pos / 10_000:g}") for pos in range(1, 4_000, 100)]
    prepare_common_sites(source(tmp_path / "a.vcf", *rows), fasta, CONTIGS, tmp_path / "out.vcf.gz")
    assert [site.pos for site in read_common_sites(tmp_path / "out.vcf.gz")] == [901, 1_901, 2_901]
    # 3,001, the best of the last stretch, is too near to 2,901.


def test_sex_chromosomes_are_known_by_their_accessions_too(tmp_path: Path, fasta: Path) -> None:
    contigs = (Contig("chr2", 4_000, accession="NC_000023.11"), Contig("chr1", 4_000, accession="NC_000001.11"))
    vcf = source(tmp_path / "a.vcf", row("chr2", 500), row("NC_000023.11", 900), row("NC_000001.11", 500))
    summary = prepare_common_sites(vcf, fasta, contigs, tmp_path / "out.vcf.gz")
    assert [(site.contig, site.pos) for site in read_common_sites(tmp_path / "out.vcf.gz")] == [("chr1", 500)]
    assert summary.left_out == {"not on an autosome": 2}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("1", 401, ref="G")], r"1 of 1 sites disagree with reference\.fa \(line 3: 1:401 G\)"),
        ([row("1", 401), row("1", 800, "AF=much")], r"a\.vcf, line 4: AF is 'much'"),
        ([row("1", 401, "AF=1.5")], r"a\.vcf, line 3: AF is 1\.5; it must be from 0 to 1"),
        (["1\t401\n"], r"a\.vcf, line 3: this is no VCF"),
        ([row("X", 401)], r"no usable site among 1 records"),
    ],
)
def test_a_source_that_will_not_do_is_refused_with_the_line(
    tmp_path: Path, fasta: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        prepare_common_sites(source(tmp_path / "a.vcf", *rows), fasta, CONTIGS, tmp_path / "out.vcf.gz")


def test_a_table_of_counts_is_read_back_and_anything_else_refused(tmp_path: Path) -> None:
    counts = [SiteCounts(CommonSite("chr1", 5, "A", "G", 0.123457), 10, 2, 1)]
    path = tmp_path / "sites.tsv"
    write_site_table(counts, path)
    assert list(read_site_table(path)) == counts
    path.write_text(path.read_text() + "chr1\t5\tA\n")
    with pytest.raises(PermanentError, match=r"sites\.tsv, line 3: this is no table of common sites"):
        list(read_site_table(path))
