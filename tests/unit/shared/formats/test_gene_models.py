"""Gene models of three sources, as bcftools csq and the naming read them."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.genome import Contig
from shared.errors import PermanentError
from shared.formats.gene_models import Flavour, gene_models_version, is_prepared, to_ensembl_gff3
from shared.formats.gff3 import Feature, format_row, parse_row
from shared.formats.transcripts import open_gene_models, read_transcripts
from tests import toy_genes
from tests.toy_genes import CONTIGS, GENOME, MINUS, PLUS

SOURCES = {
    Flavour.ENSEMBL: toy_genes.ensembl_gff3,
    Flavour.GENCODE: toy_genes.gencode_gff3,
    Flavour.REFSEQ: toy_genes.refseq_gff3,
}
NAMES = {
    Flavour.ENSEMBL: [("T1.9", "P1"), ("T2.9", "P2")],
    Flavour.GENCODE: [("ENST1.9", "ENSP1.2"), ("ENST2.9", "ENSP2.2")],
    Flavour.REFSEQ: [("NM_1.4", "NP_1.2"), ("NM_2.4", "NP_2.2")],
}


def prepared(tmp_path, text, contigs=CONTIGS):
    source, out = tmp_path / "genes.gff3", tmp_path / "out.gff3.gz"
    source.write_text(text)
    return to_ensembl_gff3(source, out, contigs), out


@pytest.mark.parametrize("flavour", list(Flavour))
def test_each_source_gives_the_same_models_with_its_own_names(tmp_path, flavour):
    summary, out = prepared(tmp_path, SOURCES[flavour]())
    assert summary.flavour is flavour
    transcripts = [
        one for one in read_transcripts(open_gene_models(out), "chr1", 0, len(GENOME)) if one.cds is not None
    ]
    assert [(one.name, one.protein) for one in transcripts] == NAMES[flavour]
    for transcript, gene, hgnc in zip(transcripts, (PLUS, MINUS), ("HGNC:1099", "HGNC:1100"), strict=True):
        assert transcript.gene == gene.name
        assert transcript.gene_id == f"HGNC:{int(hgnc[5:]) + 1}"
        assert transcript.exons == tuple((first - 1, last) for first, last in gene.exons)
        assert transcript.cds == (gene.cds[0] - 1, gene.cds[1])
        assert transcript.is_mane_select
        assert transcript.is_nameable
        for index, pos in enumerate(gene.cdna):
            assert transcript.genome_position(index) == pos - 1
            assert transcript.transcript_index(pos - 1) == index


@pytest.mark.parametrize("flavour", list(Flavour))
def test_prepared_models_prepared_again_are_the_same_bytes(tmp_path, flavour):
    _, first = prepared(tmp_path, SOURCES[flavour]())
    again = tmp_path / "again.gff3.gz"
    to_ensembl_gff3(first, again, CONTIGS)
    assert first.read_bytes() == again.read_bytes()
    assert is_prepared(first)
    assert not is_prepared(tmp_path / "genes.gff3")


def test_the_version_says_where_the_models_come_from(tmp_path):
    summary, out = prepared(tmp_path, toy_genes.refseq_gff3())
    assert summary.version == "NCBI RefSeq NCBI RefSeq GCF_000001405.40-RS_2025_08 GRCh38.p14"
    assert gene_models_version(out) == summary.version


def test_utr_rows_are_written_for_refseq_which_has_none(tmp_path):
    _, out = prepared(tmp_path, toy_genes.refseq_gff3())
    rows = [
        line.split("\t") for line in gzip.decompress(out.read_bytes()).decode().splitlines() if not line.startswith("#")
    ]
    utrs = {(row[2], row[3], row[4]) for row in rows if row[2].endswith("UTR")}
    assert utrs == {
        ("five_prime_UTR", "1001", "1020"),
        ("three_prime_UTR", "1521", "1560"),
        ("three_prime_UTR", "3001", "3060"),
        ("five_prime_UTR", "3471", "3500"),
    }


def test_non_coding_transcripts_keep_their_kind(tmp_path):
    summary, out = prepared(tmp_path, toy_genes.refseq_gff3())
    (transcript,) = read_transcripts(open_gene_models(out), "chr1", 4000, 4100)
    assert (transcript.name, transcript.biotype, transcript.cds) == ("NR_1.1", "lncRNA", None)
    assert (summary.genes, summary.transcripts, summary.coding) == (3, 3, 2)


def test_a_transcript_that_differs_from_the_genome_is_marked(tmp_path):
    _, out = prepared(tmp_path, toy_genes.refseq_gff3(differs=True))
    assert not any(one.is_nameable for one in read_transcripts(open_gene_models(out), "chr1", 1000, 3500))


def test_an_incomplete_five_prime_end_has_no_coding_numbers(tmp_path):
    text = toy_genes.ensembl_gff3().replace("1021\t1150\t.\t+\t0", "1021\t1150\t.\t+\t1")
    _, out = prepared(tmp_path, text)
    (transcript,) = read_transcripts(open_gene_models(out), "chr1", 1000, 1100)
    assert not transcript.is_nameable


def test_contigs_that_the_reference_does_not_have_are_left_out_and_counted(tmp_path):
    text = toy_genes.ensembl_gff3() + (
        "HSCHR1_ALT\tx\tgene\t1\t90\t.\t+\t.\tID=gene:A;biotype=lncRNA\n"
        "HSCHR1_ALT\tx\tlnc_RNA\t1\t90\t.\t+\t.\tID=transcript:A1;Parent=gene:A;biotype=lncRNA\n"
        "HSCHR1_ALT\tx\texon\t1\t90\t.\t+\t.\tParent=transcript:A1\n"
    )
    summary, _ = prepared(tmp_path, text)
    assert summary.skipped == {"its contig is not in the reference": 1}


def test_models_of_another_reference_are_refused(tmp_path):
    with pytest.raises(PermanentError, match=r"no transcript on a contig of the reference \(chrZ"):
        prepared(tmp_path, toy_genes.ensembl_gff3(), (Contig("chrZ", 10),))


@pytest.mark.parametrize(
    ("find", "put", "message"),
    [
        ("\t1001\t1560", "\t1560\t1001", "line 4: the row has start '1560' and end '1001'"),
        ("\tmRNA\t", "mRNA\t", "line 5: the row has 8 columns"),
        ("1021\t1150\t.\t+\t0", "1021\t1150\t.\t+\t.", "line 7: the CDS row has no phase"),
        ("1021\t1150\t.\t+\t0", "1021\t1150\t.\t+\t5", "line 7: the row has phase '5'"),
        ("1021\t1150\t.\t+\t0", "1021\t1160\t.\t+\t0", "line 7: the CDS lies outside the exons of T1"),
        ("ID=gene:G1;", 'gene_id "G1";', "line 4: .* a GTF file must be GFF3"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path, find, put, message):
    with pytest.raises(PermanentError, match=rf"genes\.gff3, {message}"):
        prepared(tmp_path, toy_genes.ensembl_gff3().replace(find, put, 1))


@pytest.mark.parametrize("text", ["", "##gff-version 3\n", "chr1\tx\tgene\t1\t9\t.\t+\t.\tID=g1\n", "hello\n"])
def test_a_file_of_no_known_source_is_refused_with_what_to_do(tmp_path, text):
    with pytest.raises(PermanentError, match=r"no GFF3 of Ensembl .* Download the annotation"):
        prepared(tmp_path, text)


def test_an_accession_placed_twice_counts_once(tmp_path):
    text = toy_genes.refseq_gff3()
    text += (
        "NC_000001.11\tx\tmRNA\t4201\t4300\t.\t+\t.\tID=rna-NM_1.4-2;Parent=gene-PLUS1;gbkey=mRNA;transcript_id=NM_1.4\n"
        "NC_000001.11\tx\texon\t4201\t4300\t.\t+\t.\tID=e9;Parent=rna-NM_1.4-2;gbkey=mRNA\n"
    )
    summary, _ = prepared(tmp_path, text)
    assert summary.skipped == {"its id is placed elsewhere already": 1}


@given(
    st.dictionaries(
        st.text("abcXYZ_", min_size=1), st.text(st.characters(exclude_categories=("Cs", "Cc"))), max_size=5
    ),
    st.integers(0, 10**9),
    st.integers(1, 10**6),
)
def test_a_row_written_is_read_back(attributes, start, length):
    feature = Feature("chr1", "exon", start, start + length, "+", None, attributes, 3)
    assert parse_row(format_row(feature).split("\t"), "x", 3) == feature
