"""Report cases from minimal arguments, for the tests of the FHIR bundle and the clinician's page."""

from datetime import UTC, datetime
from typing import Any

from shared.domain.finding import Finding, Significance
from shared.domain.ids import AnalysisId
from shared.domain.markers import DecidedMarker, Decision
from shared.domain.order import Order
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.reference import Assembly, ContigEntry, ReferenceManifest
from shared.domain.report_case import AlleleCounts, DataFile, FileRole, Laboratory, Quality, ReportCase
from shared.domain.thresholds import Limit, Missed
from shared.domain.variant import Allele, AnnotatedVariant, ClinVarRecord, Consequence, Zygosity

ANALYSIS = AnalysisId("0123456789abcdef01234567")
"""Fixed, so that golden files change only when the bundle does."""
RECEIVED = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
ISSUED = datetime(2026, 11, 2, 9, 15, 30, tzinfo=UTC)
LABORATORY = Laboratory("Example genomics laboratory", "https://lab.example/id")
FHIR_BASE = "https://fhir.example"

GRCH38 = (
    ContigEntry(name="chr13", length=114364328, md5="a" * 32, accession="NC_000013.11"),
    ContigEntry(name="chr17", length=83257441, md5="b" * 32, accession="NC_000017.11"),
    ContigEntry(name="chrX", length=156040895, md5="c" * 32, accession="NC_000023.11"),
    ContigEntry(name="chrM", length=16569, md5="d" * 32, accession="NC_012920.1"),
)
SYNTHETIC = (ContigEntry(name="synA", length=60_000, md5="0123456789abcdef0123456789abcdef"),)


def plan(assembly: Assembly = Assembly.GRCH38, contigs: tuple[ContigEntry, ...] = GRCH38, **order: Any) -> Plan:
    """A plan of one read group; `order` replaces fields of the order."""
    fields = {
        "sample": "NA00001",
        "patient": {"reference": "Patient/p-17"},
        "test": {"code": "PANEL-1", "display": "Hereditary cancer, germline"},
        "reference": "synthetic-1" if assembly is Assembly.OTHER else assembly.lower(),
        **order,
    }
    manifest = ReferenceManifest(
        name=fields["reference"],
        assembly=assembly,
        contigs=contigs,
        files=(),
        versions={"clinvar": "2026-11-01", "genes": "115"},
    )
    files = [
        InputFile(name=f"NA00001/NA00001_S1_L001_R{mate}_001.fastq.gz", size=1000 + mate, content=f"md5:{mate}")
        for mate in (1, 2)
    ]
    group = ReadGroup(id="S1_L001", r1=files[0], r2=files[1], library="lib1", platform_unit="unit1")
    frozen = freeze_plan(Order(**fields), RECEIVED, (group,), manifest, ResultSettings(), Layout())
    return frozen.model_copy(update={"analysis": ANALYSIS})


def data_files() -> tuple[DataFile, ...]:
    """The VCF and its index."""
    root = "https://data.example/results/NA00001/NA00001"
    return (
        DataFile(
            FileRole.VARIANTS,
            f"{root}.annotated.vcf.gz",
            "NA00001.annotated.vcf.gz",
            "application/gzip",
            51_234,
            "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            ISSUED,
        ),
        DataFile(
            FileRole.VARIANTS_INDEX,
            f"{root}.annotated.vcf.gz.tbi",
            "NA00001.annotated.vcf.gz.tbi",
            "application/octet-stream",
            1_234,
            "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            ISSUED,
        ),
    )


BRCA1_MISSENSE = Consequence(
    ("missense_variant",),
    "BRCA1",
    "HGNC:1100",
    "NM_007294.4",
    "protein_coding",
    "NM_007294.4:c.5095C>T",
    "NP_009225.1:p.(Arg1699Trp)",
)
BRCA1_FRAMESHIFT = Consequence(
    ("frameshift_variant",),
    "BRCA1",
    "HGNC:1100",
    "NM_007294.4",
    "protein_coding",
    "NM_007294.4:c.5266dup",
    "NP_009225.1:p.(Gln1756ProfsTer74)",
)
LOCAL_MISSENSE = Consequence(("missense_variant",), "SYN1", "", "T1", "protein_coding", "T1:c.13T>A", "T1:p.(Ser5Thr)")


def clinvar(variation_id: str = "55396", **more: Any) -> ClinVarRecord:
    """A record with two stars and one condition."""
    fields: dict[str, Any] = {
        "significance": "Pathogenic",
        "review_status": "criteria_provided,_multiple_submitters,_no_conflicts",
        "conditions": ("Breast-ovarian cancer, familial, susceptibility to, 1",),
        "condition_codes": ("MONDO:MONDO:0011450", "MedGen:C2676676", "OMIM:604370"),
        "dbsnp": "rs55770810",
        **more,
    }
    return ClinVarRecord(variation_id, **fields)


def finding(
    contig: str = "chr17",
    pos: int = 43_057_110,
    ref: str = "G",
    alt: str = "A",
    significance: Significance = Significance.PATHOGENIC,
    **variant: Any,
) -> Finding:
    """A finding, a heterozygous BRCA1 substitution unless told otherwise; `pos` is 1-based."""
    fields: dict[str, Any] = {
        "filters": ("PASS",),
        "qual": 221.0,
        "zygosity": Zygosity.HETEROZYGOUS,
        "depth": 40,
        "allele_depth": 19,
        "allele_fraction": 0.475,
        "genotype_quality": 99,
        "consequences": (BRCA1_MISSENSE,),
        "clinvar": clinvar(),
        **variant,
    }
    found = AnnotatedVariant(Allele(contig, pos, ref, alt), **fields)
    record = found.clinvar.variation_id if found.clinvar else "none"
    return Finding(found, significance, f"ClinVar {record} holds this allele as {significance}.")


def case(*findings: Finding, frozen: Plan | None = None, **more: Any) -> ReportCase:
    """A case of the findings."""
    fields: dict[str, Any] = {
        "counts": AlleleCounts(called=4321, filtered=210),
        "quality": Quality(145_985, 31.42, 0.973, 0.051, 0.998),
        "issued": ISSUED,
        "laboratory": LABORATORY,
        "fhir_base": FHIR_BASE,
        "files": data_files(),
        "tools": {"bcftools": "1.24", "bwa-mem3": "0.2", "fastq2fhir": "0.1.0"},
        **more,
    }
    return ReportCase(plan=frozen or plan(), findings=findings, **fields)


def positive() -> ReportCase:
    """One pathogenic substitution."""
    return case(finding(hgvs_g="NC_000017.11:g.43057110G>A"))


def negative() -> ReportCase:
    """Nothing to report."""
    return case()


def two_in_one_gene() -> ReportCase:
    """Two heterozygous findings of one gene, one of them a duplication that HGVS shifts to the right."""
    second = finding(
        pos=43_057_062,
        ref="T",
        alt="TG",
        hgvs_g="NC_000017.11:g.43057065dup",
        consequences=(BRCA1_FRAMESHIFT,),
        clinvar=clinvar("17677", review_status="reviewed_by_expert_panel", dbsnp="rs80357906"),
    )
    return case(second, finding(hgvs_g="NC_000017.11:g.43057110G>A"))


def one_slash_two() -> ReportCase:
    """Two ALT alleles of one site, genotype 1/2: each is heterozygous, and they are on different copies."""
    return case(
        finding(alt="A", allele_fraction=0.52),
        finding(alt="C", allele_fraction=0.48, clinvar=clinvar("55397"), significance=Significance.LIKELY_PATHOGENIC),
    )


def homozygous() -> ReportCase:
    """A deletion on both copies."""
    return case(
        finding(
            contig="chr13",
            pos=32_340_300,
            ref="GT",
            alt="G",
            zygosity=Zygosity.HOMOZYGOUS,
            allele_depth=38,
            allele_fraction=0.95,
            hgvs_g="NC_000013.11:g.32340301del",
            consequences=(
                Consequence(
                    ("frameshift_variant", "splice_region_variant"),
                    "BRCA2",
                    "HGNC:1101",
                    "ENST00000380152.8",
                    "protein_coding",
                    "ENST00000380152.8:c.5946del",
                    "ENSP00000369497.3:p.(Ser1982ArgfsTer22)",
                ),
            ),
        )
    )


def synthetic() -> ReportCase:
    """A finding on a sequence without accession, in a gene without HGNC id."""
    return case(
        finding(
            contig="synA",
            pos=1013,
            ref="T",
            alt="A",
            consequences=(LOCAL_MISSENSE,),
            clinvar=clinvar("900001", condition_codes=(), dbsnp=""),
        ),
        finding(
            contig="synA",
            pos=2000,
            ref="CAG",
            alt="C",
            consequences=(),
            clinvar=clinvar("900002", conditions=("not_provided",), condition_codes=("MedGen:C3661900",)),
        ),
        frozen=plan(Assembly.OTHER, SYNTHETIC),
    )


def patient_by_identifier() -> ReportCase:
    """The order knows the patient and itself by the EHR's numbers."""
    return case(
        finding(),
        frozen=plan(
            patient={"identifier": {"system": "https://ehr.example/mrn", "value": "MRN 12"}},
            requisition={"system": "https://ehr.example/orders", "value": "REQ-77"},
            specimen={
                "accession": "ACC-9",
                "type": "SAL",
                "collected": "2026-10-30T07:45:00+01:00",
                "received": "2026-10-31",
            },
        ),
    )


def mitochondrial() -> ReportCase:
    """A heteroplasmic variant of the mitochondrion, and a hemizygous one of X with a gene of another annotation."""
    return case(
        finding(
            "chrX",
            31_500_000,
            "C",
            "CAT",
            zygosity=Zygosity.HEMIZYGOUS,
            allele_depth=20,
            allele_fraction=1.0,
            hgvs_g="NC_000023.11:g.31500001_31500002dup",
            consequences=(Consequence(("frameshift_variant",), "DMD", "HGNC:2928"),),
        ),
        finding("chrM", 3243, "A", "G", allele_fraction=0.31, consequences=()),
    )


def every_file() -> ReportCase:
    """GRCh37 without accessions, one file of every role, nothing found, one call in doubt."""
    roles = {
        FileRole.READS: ("NA00001_S1_L001_R1_001.fastq.gz", "application/gzip"),
        FileRole.ALIGNMENTS: ("NA00001.bam", "application/octet-stream"),
        FileRole.ALL_SITES: ("NA00001.g.vcf.gz", "application/gzip"),
        FileRole.STUDIED_REGIONS: ("panel.bed", "text/plain"),
        FileRole.CALLED_REGIONS: ("called.bed", "text/plain"),
        FileRole.UNCALLED_REGIONS: ("uncalled.bed", "text/plain"),
    }
    files = tuple(
        DataFile(role, f"https://data.example/{title}", title, content_type, 10)
        for role, (title, content_type) in roles.items()
    )
    contigs = (
        ContigEntry(name="17", length=1_000_000, md5="1" * 32),
        ContigEntry(name="1", length=1_000_000, md5="2" * 32),
    )
    doubtful = finding("17", 500, filters=("LowQual",))
    return case(
        withheld=(Finding(doubtful.variant, doubtful.significance, "Not reported because of filter LowQual."),),
        files=(*data_files(), *files),
        frozen=plan(Assembly.GRCH37, contigs),
    )


MISSED = (
    Missed(figure="contamination", value=0.081, limit=Limit(max=0.05)),
    Missed(figure="mean_depth", value=12.4, limit=Limit(min=30)),
)


def decided(decision: Decision) -> DecidedMarker:
    """What the laboratory's director decided a day later."""
    return DecidedMarker(
        analysis=ANALYSIS,
        sample="NA00001",
        decision=decision,
        by="lab-director",
        reason="The repeated extraction gave the same figures",
        decided=datetime(2026, 11, 3, 10, 0, tzinfo=UTC),
    )


LOW_QUALITY = Quality(145_985, 12.4, 0.31, 0.051, 0.998)
QUALITY_FILE = DataFile(
    FileRole.QUALITY,
    "https://data.example/results/NA00001/NA00001.qc.json",
    "NA00001.qc.json",
    "application/json",
    3_210,
    "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    ISSUED,
)


def held() -> ReportCase:
    """Nothing is told but why."""
    return case(missed=MISSED, quality=LOW_QUALITY, files=(QUALITY_FILE,), counts=AlleleCounts(0))


def rejected() -> ReportCase:
    """An end without result."""
    decision = decided(Decision.REJECTED)
    return case(
        missed=MISSED,
        quality=LOW_QUALITY,
        files=(QUALITY_FILE,),
        counts=AlleleCounts(0),
        decision=decision,
        issued=decision.decided,
    )


def released() -> ReportCase:
    """A finding, although limits were missed."""
    decision = decided(Decision.RELEASED)
    return case(
        finding(hgvs_g="NC_000017.11:g.43057110G>A"),
        files=(*data_files(), QUALITY_FILE),
        missed=MISSED,
        quality=LOW_QUALITY,
        decision=decision,
        issued=decision.decided,
    )


CASES = {
    "positive": positive,
    "negative": negative,
    "two_in_one_gene": two_in_one_gene,
    "one_slash_two": one_slash_two,
    "homozygous": homozygous,
    "synthetic": synthetic,
    "patient_by_identifier": patient_by_identifier,
    "mitochondrial": mitochondrial,
    "every_file": every_file,
    "held": held,
    "rejected": rejected,
    "released": released,
}
"""All cases by name."""
