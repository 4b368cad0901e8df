"""Code systems, profiles and the code tables of HL7 Genomics Reporting 3.0.0 that the report uses."""

from enum import StrEnum, unique
from typing import Final

from shared.domain.finding import Significance
from shared.domain.reference import Assembly
from shared.domain.report_case import Interpretation
from shared.domain.variant import Zygosity

IG: Final = "http://hl7.org/fhir/uv/genomics-reporting"
CORE: Final = "http://hl7.org/fhir/StructureDefinition"


@unique
class System(StrEnum):
    """Code systems by what they hold."""

    LOINC = "http://loinc.org"
    HGNC = "http://www.genenames.org"
    REFSEQ = "http://www.ncbi.nlm.nih.gov/refseq"
    ENSEMBL = "http://www.ensembl.org"
    HGVS = "http://varnomen.hgvs.org"
    SEQUENCE_ONTOLOGY = "http://www.sequenceontology.org"
    CLINVAR = "http://www.ncbi.nlm.nih.gov/clinvar"
    DBSNP = "http://www.ncbi.nlm.nih.gov/projects/SNP"
    UCUM = "http://unitsofmeasure.org"
    URI = "urn:ietf:rfc:3986"
    TBD = f"{IG}/CodeSystem/tbd-codes-cs"
    EVIDENCE = f"{IG}/CodeSystem/clinvar-evidence-level-custom-cs"
    METHOD_TYPE = f"{IG}/CodeSystem/genomic-study-method-type-cs"
    DATA_FORMAT = f"{IG}/CodeSystem/genomic-study-data-format-cs"
    NOTE_TYPE = f"{IG}/CodeSystem/coded-annotation-types-cs"
    PHASE = "http://terminology.hl7.org/CodeSystem/sequence-phase-relationship-cs"
    OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
    DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
    SPECIMEN_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0487"
    PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def profile(name: str) -> str:
    """Canonical URL of a profile or extension of the guide."""
    return f"{IG}/StructureDefinition/{name}"


ANSWERS: Final[dict[str, str]] = {
    "LA9633-4": "Present",
    "LA26398-0": "Sequencing",
    "LA6683-2": "Germline",
    "LA30102-0": "1-based character counting",
    "LA26806-2": "GRCh38",
    "LA14029-5": "GRCh37",
    "LA6706-1": "Heterozygous",
    "LA6705-3": "Homozygous",
    "LA6707-9": "Hemizygous",
    "LA6703-8": "Heteroplasmic",
    "LA6704-6": "Homoplasmic",
    "LA6668-3": "Pathogenic",
    "LA26332-9": "Likely pathogenic",
    "LA26333-7": "Uncertain significance",
    "LA26334-5": "Likely benign",
    "LA6675-8": "Benign",
    "LA6576-8": "Positive",
    "LA6577-6": "Negative",
    "LA9663-1": "Inconclusive",
}
"""LOINC answers and how they are shown."""

ASSEMBLY_ANSWER: Final = {Assembly.GRCH38: "LA26806-2", Assembly.GRCH37: "LA14029-5"}
"""LOINC LL1040-6; a bundle of another assembly has no answer there."""

ZYGOSITY_ANSWER: Final = {
    Zygosity.HETEROZYGOUS: "LA6706-1",
    Zygosity.HOMOZYGOUS: "LA6705-3",
    Zygosity.HEMIZYGOUS: "LA6707-9",
}

MITOCHONDRIAL_ANSWER: Final = {
    Zygosity.HETEROZYGOUS: "LA6703-8",
    Zygosity.HOMOZYGOUS: "LA6704-6",
    Zygosity.HEMIZYGOUS: "LA6704-6",
    Zygosity.HOMOPLASMIC: "LA6704-6",
}
"""Mitochondria come in thousands: a mixed genotype is heteroplasmy."""

SIGNIFICANCE_ANSWER: Final = {
    Significance.PATHOGENIC: "LA6668-3",
    Significance.LIKELY_PATHOGENIC: "LA26332-9",
    Significance.UNCERTAIN: "LA26333-7",
    Significance.LIKELY_BENIGN: "LA26334-5",
    Significance.BENIGN: "LA6675-8",
}

INTERPRETATION_ANSWER: Final = {
    Interpretation.POSITIVE: "LA6576-8",
    Interpretation.NEGATIVE: "LA6577-6",
    Interpretation.INCONCLUSIVE: "LA9663-1",
}

CHROMOSOMES: Final = (*(str(number) for number in range(1, 23)), "X", "Y")

CHROMOSOME_ANSWER: Final = dict(
    zip(
        CHROMOSOMES,
        (
            *("LA21254-0", "LA21255-7", "LA21256-5", "LA21257-3", "LA21258-1", "LA21259-9", "LA21260-7", "LA21261-5"),
            *("LA21262-3", "LA21263-1", "LA21264-9", "LA21265-6", "LA21266-4", "LA21267-2", "LA21268-0", "LA21269-8"),
            *("LA21270-6", "LA21271-4", "LA21272-2", "LA21273-0", "LA21274-8", "LA21275-5", "LA21276-3", "LA21277-1"),
        ),
        strict=True,
    )
)
"""LOINC LL2938-0, which the guide binds without an answer for the mitochondrion."""

_REFSEQ_VERSIONS: Final = {
    Assembly.GRCH38: "11 12 12 12 10 12 14 11 12 11 10 12 11 9 10 10 11 10 10 11 9 11 11 10",
    Assembly.GRCH37: "10 11 11 11 9 11 13 10 11 10 9 11 10 8 9 9 10 9 9 10 8 10 10 9",
}

CHROMOSOME_ACCESSION: Final = {
    (assembly, chromosome): f"NC_{number:06d}.{version}"
    for assembly, versions in _REFSEQ_VERSIONS.items()
    for number, (chromosome, version) in enumerate(zip(CHROMOSOMES, versions.split(), strict=True), 1)
}
"""RefSeq accession of a chromosome by assembly and name."""

MITOCHONDRION: Final = "NC_012920.1"
"""The revised Cambridge Reference Sequence, the mitochondrion of GRCh37 and GRCh38."""

CONSEQUENCE_TERMS: Final[dict[str, tuple[str, str]]] = {
    "missense": ("SO:0001583", "missense_variant"),
    "stop_gained": ("SO:0001587", "stop_gained"),
    "frameshift": ("SO:0001589", "frameshift_variant"),
    "stop_lost": ("SO:0001578", "stop_lost"),
    "start_lost": ("SO:0002012", "start_lost"),
    "start_retained": ("SO:0002019", "start_retained_variant"),
    "stop_retained": ("SO:0001567", "stop_retained_variant"),
    "synonymous": ("SO:0001819", "synonymous_variant"),
    "inframe_insertion": ("SO:0001821", "inframe_insertion"),
    "inframe_deletion": ("SO:0001822", "inframe_deletion"),
    "inframe_altering": ("SO:0001818", "protein_altering_variant"),
    "protein_altering": ("SO:0001818", "protein_altering_variant"),
    "splice_acceptor": ("SO:0001574", "splice_acceptor_variant"),
    "splice_donor": ("SO:0001575", "splice_donor_variant"),
    "splice_region": ("SO:0001630", "splice_region_variant"),
    "coding_sequence": ("SO:0001580", "coding_sequence_variant"),
    "5_prime_utr": ("SO:0001623", "5_prime_UTR_variant"),
    "3_prime_utr": ("SO:0001624", "3_prime_UTR_variant"),
    "intron": ("SO:0001627", "intron_variant"),
    "non_coding": ("SO:0001619", "non_coding_transcript_variant"),
    "non_coding_transcript": ("SO:0001619", "non_coding_transcript_variant"),
    "non_coding_transcript_exon": ("SO:0001792", "non_coding_transcript_exon_variant"),
    "feature_elongation": ("SO:0001907", "feature_elongation"),
    "feature_truncation": ("SO:0001906", "feature_truncation"),
    "intergenic": ("SO:0001628", "intergenic_variant"),
    "upstream_gene": ("SO:0001631", "upstream_gene_variant"),
    "downstream_gene": ("SO:0001632", "downstream_gene_variant"),
}
"""Sequence Ontology terms by name, in lower case and without `_variant`, so that bcftools' words fit too."""

CONDITION_SYSTEMS: Final[dict[str, tuple[str, str]]] = {
    "MONDO": ("http://purl.obolibrary.org/obo/mondo.owl", "MONDO:"),
    "Human_Phenotype_Ontology": ("http://human-phenotype-ontology.org", "HP:"),
    "OMIM": ("http://www.omim.org", ""),
    "Orphanet": ("http://www.orpha.net", ""),
    "MedGen": ("http://www.ncbi.nlm.nih.gov/medgen", ""),
    "SNOMED_CT": ("http://snomed.info/sct", ""),
}
"""Code systems of conditions by ClinVar's name for them (CLNDISDB), with what each code begins with."""

REVIEW_STARS: Final[dict[str, str]] = {
    "practice guideline": "4-star",
    "reviewed by expert panel": "3-star",
    "criteria provided, multiple submitters, no conflicts": "2-star",
    "criteria provided, multiple submitters": "2-star",
    "criteria provided, single submitter": "1-star",
    "criteria provided, conflicting classifications": "1-star",
    "criteria provided, conflicting interpretations": "1-star",
}
"""ClinVar's stars by review status; every other status has none."""

SPECIMEN_TYPES: Final = {"BLD": "Whole blood", "SAL": "Saliva", "TISS": "Tissue", "AMN": "Amniotic fluid"}
"""Display of common HL7 table 0487 codes."""
