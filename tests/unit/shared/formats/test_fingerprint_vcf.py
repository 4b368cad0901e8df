"""Fingerprints as VCF: ours read back, and the spellings of arrays and other laboratories."""

import gzip
from pathlib import Path

import pysam
import pytest

from shared.domain.fingerprint import genotype
from shared.domain.genome import Contig
from shared.domain.sites import CommonSite, SiteCounts
from shared.errors import PermanentError
from shared.formats.fingerprint_vcf import read_genotypes, write_fingerprint

CONTIGS = (Contig("chr2", 9_000), Contig("chr1", 9_000))
HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"


def vcf(path: Path, *rows: str, samples: str = "array_42") -> Path:
    path.write_text(HEAD + samples + "\n" + "".join("\t".join(row.split()) + "\n" for row in rows))
    return path


def test_a_fingerprint_is_read_back_in_the_order_of_the_reference(tmp_path: Path) -> None:
    sites = [
        CommonSite("chr1", 5, "A", "C", 0.25),
        CommonSite("chr2", 7, "T", "G", 0.5),
        CommonSite("chr2", 3, "G", "A", 0.5),
    ]
    counts = [(0, 30), (15, 14), (3, 0)]
    genotypes = [genotype(SiteCounts(one, *shown, 0)) for one, shown in zip(sites, counts, strict=True)]
    out, again = tmp_path / "one.vcf.gz", tmp_path / "two.vcf.gz"
    index = write_fingerprint(genotypes, "NA1", CONTIGS, out)
    write_fingerprint(genotypes[::-1], "NA1", CONTIGS, again)
    assert out.read_bytes() == again.read_bytes()
    with pysam.VariantFile(str(out), index_filename=str(index)) as read:
        records = [(r.chrom, r.pos, r.samples[0]["GT"], r.samples[0]["AD"]) for r in read]
        assert [r.pos for r in read.fetch("chr2", 4, 8)] == [7]
    assert records == [("chr2", 3, (None, None), (3, 0)), ("chr2", 7, (0, 1), (15, 14)), ("chr1", 5, (1, 1), (0, 30))]
    assert read_genotypes(out, "NA1", CONTIGS) == {("chr1", 5): ("C", "C"), ("chr2", 7): ("G", "T")}


def test_the_spellings_of_arrays_are_understood(tmp_path: Path) -> None:
    path = vcf(
        tmp_path / "array.vcf",
        "1 10 rs1 A G . . . GT 0/1",
        "1 20 rs2 G A . . . GT:GC 1|1:0.9",  # REF and ALT swapped against the reference: letters count
        "chr1 30 rs3 c t . . . GT 1/0",
        "1 40 rs4 A . . . . GT 0/0",  # no ALT seen
        "2 50 rs5 A C,T . . . GT 1/2",
    )
    assert read_genotypes(path, "NA1", CONTIGS) == {
        ("chr1", 10): ("A", "G"),
        ("chr1", 20): ("A", "A"),
        ("chr1", 30): ("C", "T"),
        ("chr1", 40): ("A", "A"),
        ("chr2", 50): ("C", "T"),
    }


@pytest.mark.parametrize(
    "row",
    [
        "1 10 . A G . . . GT ./.",
        "1 10 . A G . . . GT ./1",
        "1 10 . A G . . . GT 1",
        "1 10 . A G . . . GT .",
        "1 10 . A G . . . GT 0/2",
        "1 10 . A . . . . GT 0/1",
        "1 10 . AT A . . . GT 0/1",
        "1 10 . A <DEL> . . . GT 0/1",
        "1 10 . A G . . . DP:GT 30:0/1",  # the standard has GT first
        "HLA 10 . A G . . . GT 0/1",
    ],
)
def test_what_is_no_genotype_of_two_bases_is_left_out(tmp_path: Path, row: str) -> None:
    assert read_genotypes(vcf(tmp_path / "a.vcf", row), "NA1", CONTIGS) == {}


def test_a_position_with_two_different_genotypes_counts_for_nothing(tmp_path: Path) -> None:
    same, other = "1 10 a A G . . . GT 0/1", "chr1 10 b A G . . . GT 1/1"
    assert read_genotypes(vcf(tmp_path / "a.vcf", same, same), "NA1", CONTIGS) == {("chr1", 10): ("A", "G")}
    assert read_genotypes(vcf(tmp_path / "b.vcf", same, other, same), "NA1", CONTIGS) == {}


def test_the_column_of_the_sample_is_read_where_there_are_several(tmp_path: Path) -> None:
    path = vcf(tmp_path / "a.vcf", "1 10 . A G . . . GT 0/1 1/1", samples="X\tNA1")
    assert read_genotypes(path, "NA1", CONTIGS) == {("chr1", 10): ("G", "G")}
    with pytest.raises(PermanentError, match=r"a\.vcf, line 2: the file has 2 samples .* named NA2"):
        read_genotypes(path, "NA2", CONTIGS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no line #CHROM"),
        (HEAD.encode() + b"S\n1\t10\t.\tA\n", "line 3: this is no VCF"),
        (b"rs1\tA\tG\n", "line 1: this is no VCF"),
        (HEAD.encode().replace(b"\tFORMAT\t", b""), "has 0 samples"),
        (gzip.compress(HEAD.encode() * 99)[:-20], "damaged"),
        (b"\x1f\x8b\x00\x00", "damaged"),
        (b"##\xff\xfe\x00\n", "damaged or no VCF"),
    ],
)
def test_what_is_no_vcf_is_refused_with_the_line(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.vcf").write_bytes(data)
    with pytest.raises(PermanentError, match=message):
        read_genotypes(tmp_path / "a.vcf", "NA1", CONTIGS)
