"""Annotation of the toy genes' tiny genome."""

from pathlib import Path

from shared.domain.variant import AnnotatedVariant
from shared.formats.clinvar import prepare_clinvar
from shared.formats.gene_models import to_ensembl_gff3
from shared.steps.annotate import AnnotationFiles, annotate_vcf, read_annotated
from tests import toy_genes
from tests.toy_genes import (
    CONTIGS,
    Call,
    ToyGene,
    complement,
    ref,
)


def make_files(folder: Path) -> AnnotationFiles:
    """The toy genome and its gene models, as a reference bundle has them."""
    source = folder / "source.gff3"
    source.write_text(toy_genes.ensembl_gff3())
    to_ensembl_gff3(source, folder / "genes.gff3.gz", CONTIGS)
    return AnnotationFiles(toy_genes.write_fasta(folder), folder / "genes.gff3.gz")


def annotated(tmp_path: Path, files: AnnotationFiles, *calls: Call) -> list[AnnotatedVariant]:
    vcf = toy_genes.write_vcf(tmp_path / "called.vcf", list(calls))
    out = tmp_path / "annotated.vcf.gz"
    summary = annotate_vcf(vcf, files, CONTIGS, "S1", out)
    variants = list(read_annotated(out, CONTIGS))
    assert summary.alleles == len(variants)
    return variants


def the_one(tmp_path: Path, files: AnnotationFiles, call: Call) -> tuple[str, str, str, str]:
    """Terms, g., c. and p. of a single call."""
    (variant,) = annotated(tmp_path, files, call)
    (consequence,) = variant.consequences
    return "&".join(consequence.terms), variant.hgvs_g, consequence.hgvs_c, consequence.hgvs_p


def coding_snv(gene: ToyGene, number: int, base: str) -> Call:
    """A change of coding base `number` (c. number) to `base`, given in the transcript's direction."""
    pos = gene.coding[number - 1]
    return Call(pos, ref(pos), base if gene.strand == "+" else complement(base))


def with_clinvar(files: AnnotationFiles, folder: Path, records: list[str]) -> AnnotationFiles:
    source = folder / "clinvar-source.vcf"
    source.write_text(
        "##fileformat=VCFv4.1\n##fileDate=2026-11-01\n"
        '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNREVSTAT,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNDN,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=CLNDISDB,Number=.,Type=String,Description="x">\n'
        '##INFO=<ID=RS,Number=.,Type=String,Description="x">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(f"{record}\n" for record in records)
    )
    prepare_clinvar(source, files.fasta, CONTIGS, folder / "clinvar.vcf.gz")
    return AnnotationFiles(files.fasta, files.genes, folder / "clinvar.vcf.gz")


def pathogenic(pos: int, before: str, after: str, identifier: str = "17661", contig: str = "1") -> str:
    return (
        f"{contig}\t{pos}\t{identifier}\t{before}\t{after}\t.\t.\tCLNSIG=Pathogenic;CLNDN=Breast-ovarian_cancer,_familial_1"
        "|not_provided;CLNREVSTAT=reviewed_by_expert_panel;CLNDISDB=MONDO:MONDO:0011450,OMIM:604370|MedGen:C3661900;"
        "RS=80357906"
    )
