"""ClinVar prepared for a reference."""

import gzip

import pytest

from shared.errors import PermanentError
from shared.formats.clinvar import ClinVarTable, prepare_clinvar
from tests import toy_genes
from tests.toy_genes import CONTIGS, other, ref

HEADER = (
    "##fileformat=VCFv4.1\n##fileDate=2026-11-01\n##reference=GRCh38\n"
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="x">\n'
    '##INFO=<ID=ALLELEID,Number=1,Type=Integer,Description="x">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)


def prepared(tmp_path, *records, compress=False):
    fasta = toy_genes.write_fasta(tmp_path)
    source, out = tmp_path / "source.vcf", tmp_path / "clinvar.vcf.gz"
    text = HEADER + "".join(f"{record}\n" for record in records)
    source.write_bytes(gzip.compress(text.encode()) if compress else text.encode())
    return prepare_clinvar(source, fasta, CONTIGS, out), out


def text_of(path):
    return gzip.decompress(path.read_bytes()).decode()


def record(pos, before, after, contig="1", identifier=5):
    return f"{contig}\t{pos}\t{identifier}\t{before}\t{after}\t.\t.\tALLELEID=9;CLNSIG=Benign"


@pytest.mark.parametrize("contig", ["1", "chr1", "NC_000001.11"])
def test_contigs_are_renamed_to_the_references(tmp_path, contig):
    _, out = prepared(tmp_path, record(1100, ref(1100), other(ref(1100)), contig), compress=True)
    table = ClinVarTable(out, CONTIGS)
    assert table.version == "2026-11-01"
    assert table.alleles("chr1", 1099, 1100) == {
        (1100, ref(1100), other(ref(1100))): {"CLINVAR_ID": "5", "CLNSIG": "Benign"}
    }
    assert table.alleles("chr1", 1100, 1200) == {}
    assert table.alleles("chr2", 0, 100) == {}


def test_alleles_are_split_left_aligned_and_sorted(tmp_path):
    # The first moves left past the second: A is lost from the run at 1201 to 1206.
    summary, out = prepared(
        tmp_path,
        record(1202, "A", "C,G", identifier=7),
        record(1205, "AAC", "AC", identifier=6),
    )
    rows = [line.split("\t")[1:5] for line in text_of(out).splitlines() if not line.startswith("#")]
    assert rows == [["1200", "6", "CA", "C"], ["1202", "7", "A", "C"], ["1202", "7", "A", "G"]]
    assert (summary.records, summary.written) == (2, 3)


def test_records_without_alleles_or_on_other_contigs_are_counted(tmp_path):
    summary, _ = prepared(
        tmp_path,
        record(1100, ref(1100), "."),
        record(5, "A", "C", "NT_113889.1"),
        record(1101, ref(1101), other(ref(1101))),
    )
    assert (summary.no_alleles, summary.other_contigs, summary.written) == (1, 1, 1)


def test_a_record_that_disagrees_with_the_fasta_is_refused_and_told(tmp_path):
    good = [record(pos, ref(pos), other(ref(pos)), identifier=pos) for pos in range(1000, 1150)]
    summary, _ = prepared(tmp_path, *good, record(1160, other(ref(1160)), ref(1160)))
    assert (summary.wrong_reference, summary.written) == (1, 150)
    assert summary.wrong_example == f"line 157: 1:1160 has REF {other(ref(1160))}, the reference {ref(1160)}"


def test_clinvar_of_another_build_is_refused(tmp_path):
    with pytest.raises(PermanentError, match=r"1 of 1 records disagree with ref\.fa .* Download ClinVar for this"):
        prepared(tmp_path, record(1160, other(ref(1160)), ref(1160)))


def test_a_file_that_is_no_vcf_is_refused(tmp_path):
    with pytest.raises(PermanentError, match=r"source\.vcf, line 7: this is no VCF"):
        prepared(tmp_path, "<html>busy</html>")


def test_the_same_source_gives_the_same_bytes_without_paths(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    outs = [prepared(tmp_path / name, record(1202, "A", "C,G"))[1] for name in "ab"]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert str(tmp_path) not in text_of(outs[0])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "clinvar.vcf.gz",
        "clinvar.vcf.gz.tbi",
        "ref.fa",
        "ref.fa.fai",
        "source.vcf",
    ]
