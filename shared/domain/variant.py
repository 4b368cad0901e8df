"""A called allele of one sample and what is known of it.

`pos` is 1-based, as in VCF. REF and ALT are normalised: split, parsimonious, left-aligned, forward strand.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Zygosity(StrEnum):
    """How many copies of the allele the sample carries, from GT.

    HEMIZYGOUS is the only copy of a sex chromosome. HOMOPLASMIC is called as the only allele of the mitochondrion,
    which has one genotype whatever the share of its copies.
    """

    HETEROZYGOUS = "heterozygous"
    HOMOZYGOUS = "homozygous"
    HEMIZYGOUS = "hemizygous"
    HOMOPLASMIC = "homoplasmic"


@dataclass(frozen=True, slots=True)
class Allele:
    """One ALT allele at one place of the reference; `pos` is 1-based (VCF POS)."""

    contig: str
    pos: int
    ref: str
    alt: str

    def __str__(self) -> str:
        return f"{self.contig}-{self.pos}-{self.ref}-{self.alt}"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What one allele does to one transcript, from bcftools csq (BCSQ) and HGVS projection.

    Attributes:
        terms: Sequence Ontology term names, most severe first, such as ``("missense_variant",)``.
        gene: Gene symbol.
        gene_id: Identifier of the gene such as ``HGNC:1100``; empty when the gene models name none.
        transcript: Transcript id with version when the gene models have one; empty for intergenic.
        biotype: Such as ``protein_coding``.
        hgvs_c: Coding HGVS with its reference, or empty.
        hgvs_p: Protein HGVS with its reference, predicted ones in parentheses, or empty.
    """

    terms: tuple[str, ...]
    gene: str
    gene_id: str = ""
    transcript: str = ""
    biotype: str = ""
    hgvs_c: str = ""
    hgvs_p: str = ""


@dataclass(frozen=True, slots=True)
class ClinVarRecord:
    """The ClinVar record of exactly this allele.

    Attributes:
        variation_id: ClinVar VariationID (the VCF's ID column).
        significance: CLNSIG values as ClinVar writes them, such as ``Pathogenic/Likely_pathogenic``.
        review_status: CLNREVSTAT as ClinVar writes it.
        conditions: CLNDN names, spaces restored.
        condition_codes: CLNDISDB entries such as ``MONDO:MONDO:0007254``.
        dbsnp: rs number such as ``rs28897672``, or empty.
    """

    variation_id: str
    significance: str
    review_status: str
    conditions: tuple[str, ...] = ()
    condition_codes: tuple[str, ...] = ()
    dbsnp: str = ""


@dataclass(frozen=True, slots=True)
class AnnotatedVariant:
    """One ALT allele that the sample carries, with the caller's evidence and the annotation.

    Attributes:
        allele: The normalised allele.
        filters: FILTER values; ``("PASS",)`` when all filters passed, empty when none was applied (``.``).
        qual: VCF QUAL, Phred; 0 when the caller gave none.
        zygosity: From GT.
        depth: Reads over the site (FORMAT DP).
        allele_depth: Reads that show this allele (FORMAT AD of the ALT).
        allele_fraction: allele_depth over the sum of AD of all alleles called at the site, 0..1.
        genotype_quality: FORMAT GQ, Phred, or None.
        hgvs_g: Genomic HGVS with the contig's accession, or empty when it has none.
        consequences: One per transcript, the most severe first.
        clinvar: Its ClinVar record, or None.
    """

    allele: Allele
    filters: tuple[str, ...]
    qual: float
    zygosity: Zygosity
    depth: int
    allele_depth: int
    allele_fraction: float
    genotype_quality: int | None = None
    hgvs_g: str = ""
    consequences: tuple[Consequence, ...] = ()
    clinvar: ClinVarRecord | None = None

    @property
    def passes(self) -> bool:
        """Whether the caller's filters passed."""
        return self.filters == ("PASS",)
