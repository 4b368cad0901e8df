"""Annotation of a VCF: genotypes, header, refusals."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import LedgerError, PermanentError
from shared.formats import annotated_vcf
from shared.steps import annotate
from shared.steps.annotate import AnnotationFiles, annotate_vcf
from tests import toy_genes
from tests.toy_annotation import annotated, make_files
from tests.toy_genes import (
    CONTIGS,
    Call,
    other,
    ref,
    snv,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> AnnotationFiles:
    return make_files(tmp_path_factory.mktemp("reference"))


def test_only_alleles_that_the_sample_carries_are_read_with_their_zygosity(tmp_path, files):
    calls = [
        snv(1021, "0/1"),
        snv(1030, "1/1"),
        snv(1040, "1"),
        snv(1050, "0/0"),
        snv(1060, "./."),
        snv(1070, "./1"),
        Call(1080, ref(1080), "*"),
    ]
    variants = annotated(tmp_path, files, *calls)
    assert [(variant.allele.pos, variant.zygosity.value) for variant in variants] == [
        (1021, "heterozygous"),
        (1030, "homozygous"),
        (1040, "hemizygous"),
        (1070, "heterozygous"),
    ]
    assert (variants[0].depth, variants[0].allele_depth, variants[0].genotype_quality) == (20, 10, 60)


def test_filters_are_kept_and_a_site_without_filters_does_not_pass(tmp_path, files):
    calls = [snv(1021), snv(1030, filters="LowQual"), snv(1040, filters=".")]
    variants = annotated(tmp_path, files, *calls)
    assert [variant.filters for variant in variants] == [("PASS",), ("LowQual",), ()]
    assert [variant.passes for variant in variants] == [True, False, False]


def test_the_bytes_depend_on_the_content_only_and_the_header_has_no_dates_or_paths(tmp_path, files):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    calls = [snv(pos) for pos in range(1001, 1500, 7)]
    annotated(tmp_path / "a", files, *calls)
    annotated(tmp_path / "b", files, *calls)
    one, two = ((tmp_path / name / "annotated.vcf.gz") for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert Path(f"{one}.tbi").read_bytes() == Path(f"{two}.tbi").read_bytes()
    header = [line for line in gzip.decompress(one.read_bytes()).decode().split("\n") if line.startswith("##")]
    assert not [line for line in header if "Command" in line or "Date" in line or str(tmp_path) in line]
    assert '##annotation=<ID=genes,Version="Ensembl GRCh38 2026-05">' in header


def test_batches_do_not_change_the_bytes(tmp_path, files, monkeypatch):
    calls = [snv(pos) for pos in (*range(990, 1500, 5), *range(2990, 3500, 5))]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    annotated(tmp_path / "a", files, *calls)
    monkeypatch.setattr(annotate, "_BATCH", 3)
    annotated(tmp_path / "b", files, *calls)
    assert (tmp_path / "a/annotated.vcf.gz").read_bytes() == (tmp_path / "b/annotated.vcf.gz").read_bytes()


def test_samples_annotated_at_once_in_one_process_do_not_disturb_each_other(tmp_path, files):
    # bcftools csq keeps where a contig began from one call to the next: the later sample begins earlier here.
    starts = [3000, 1500, 1001, 990]
    folders = [tmp_path / str(start) for start in starts]
    for folder in folders:
        folder.mkdir()

    def work(start: int) -> bytes:
        folder = tmp_path / str(start)
        annotated(folder, files, *(snv(pos) for pos in range(start, 3500, 40)))
        return (folder / "annotated.vcf.gz").read_bytes()

    alone = [work(start) for start in starts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, starts))
    assert together == alone


def test_soft_masked_bases_are_read_as_bases(tmp_path, files):
    call = snv(1100)
    (variant,) = annotated(tmp_path, files, Call(1100, call.ref.lower(), call.alt.lower()))
    assert variant.allele.alt == call.alt
    assert variant.consequences[0].hgvs_p


def test_an_empty_vcf_gives_an_empty_annotated_vcf(tmp_path, files):
    assert annotated(tmp_path, files) == []


def test_gene_models_as_downloaded_are_prepared_on_the_way(tmp_path, files):
    source = tmp_path / "refseq.gff3"
    source.write_text(toy_genes.refseq_gff3())
    (variant,) = annotated(tmp_path, AnnotationFiles(files.fasta, source), snv(1100))
    assert variant.consequences[0].hgvs_c.startswith("NM_1.4:c.80")
    assert variant.consequences[0].hgvs_p.startswith("NP_1.2:p.(")


def test_a_transcript_that_differs_from_the_genome_gets_no_names(tmp_path, files):
    source = tmp_path / "refseq.gff3"
    source.write_text(toy_genes.refseq_gff3(differs=True))
    (variant,) = annotated(tmp_path, AnnotationFiles(files.fasta, source), snv(1100))
    assert variant.consequences[0].transcript == "NM_1.4"
    assert variant.consequences[0].hgvs_c == variant.consequences[0].hgvs_p == ""


def test_a_reference_base_that_differs_from_the_fasta_is_refused(tmp_path, files):
    wrong = Call(1100, other(ref(1100)), ref(1100))
    with pytest.raises(PermanentError, match=r"bcftools norm .* failed"):
        annotated(tmp_path, files, wrong)


def test_a_vcf_of_another_sample_is_refused(tmp_path, files):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [])
    with pytest.raises(PermanentError, match="not exactly the one of the analysis"):
        annotate_vcf(vcf, files, CONTIGS, "S2", tmp_path / "out.vcf.gz")


def test_a_contig_that_the_reference_does_not_have_is_refused_with_its_line(tmp_path, files):
    with pytest.raises(PermanentError, match=r"called.vcf, line 11: .* 'chr9'"):
        annotated(tmp_path, files, Call(5, "A", "C", contig="chr9"))


def test_symbolic_alleles_are_counted_and_left_out(tmp_path, files):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [snv(1100), Call(1200, "C", "<DEL>")])
    summary = annotate_vcf(vcf, files, CONTIGS, "S1", tmp_path / "out.vcf.gz")
    assert (summary.records, summary.alleles, summary.skipped) == (2, 1, 1)


def test_a_lost_allele_is_a_ledger_error(tmp_path, files, monkeypatch):
    monkeypatch.setattr(annotate, "_write", lambda *_: 0)
    with pytest.raises(LedgerError, match="carries 1 ALT alleles in the called VCF and 0 in the annotated"):
        annotated(tmp_path, files, snv(1100))


def test_a_vcf_that_was_not_split_is_not_read(tmp_path):
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", [Call(1100, "A", "C,G", "1/2")])
    vcf.write_text(vcf.read_text().replace("#CHROM", "##contig=<ID=chr1,length=5000>\n#CHROM"))
    with pytest.raises(PermanentError, match="not split"):
        list(annotated_vcf.read_annotated(vcf, CONTIGS))
