"""All that a report says of one analysis: what the FHIR bundle and the clinician's page are both made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from shared.domain.finding import Finding
from shared.domain.genome import Contig
from shared.domain.markers import DecidedMarker, Decision
from shared.domain.plan import Plan
from shared.domain.reference import Role
from shared.domain.thresholds import Missed
from shared.domain.variant import Allele, AnnotatedVariant, Consequence
from shared.errors import LedgerError, PermanentError

MINIMUM_MEAN_DEPTH = 10.0
"""Mean depth (reads per base) below which finding nothing says nothing: half of the heterozygous alleles are then
seen by fewer than five reads. The interpretation is then inconclusive instead of negative."""


@unique
class FileRole(StrEnum):
    """What a data file is in the study that the report describes."""

    READS = "reads"
    ALIGNMENTS = "alignments"
    VARIANTS = "variants"
    VARIANTS_INDEX = "variants-index"
    ALL_SITES = "all-sites"
    STUDIED_REGIONS = "studied-regions"
    CALLED_REGIONS = "called-regions"
    UNCALLED_REGIONS = "uncalled-regions"
    QUALITY = "quality"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that the report refers to.

    Attributes:
        role: What it is in the study.
        url: Its address, without any credential: a record outlives a signature.
        title: File name as a person knows it.
        content_type: MIME type.
        size: Bytes.
        sha1: SHA-1 of its bytes, base64 (as FHIR R4 defines Attachment.hash); empty when unknown.
        created: When it was written, with a zone; None when unknown.
    """

    role: FileRole
    url: str
    title: str
    content_type: str
    size: int
    sha1: str = ""
    created: datetime | None = None

    def __post_init__(self) -> None:
        if "sig=" in self.url.partition("?")[2]:
            raise PermanentError(
                f"The address of {self.title} carries a signature. A report must not hold credentials: give the "
                "blob's plain address."
            )


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the sample was sequenced.

    Attributes:
        pairs: Read pairs of the sample.
        mean_depth: Reads per reference base, duplicates left out; None when unknown.
        fraction_20x: Part of the reference's bases (0..1) that at least 20 reads cover; None when unknown.
        duplicate_fraction: Part of the reads (0..1) marked as duplicates; None when unknown.
        aligned_fraction: Part of the reads (0..1) that have a place in the reference; None when unknown.
        contamination: Part of the reads (0..1) that is another person's; None when it could not be measured.
        identity_concordance: Part (0..1) of `identity_sites` common sites with the genotype that is known of this
            person; None when there was too little to compare with.
        identity_sites: Common sites that were compared.
        single_reads: Reads of the sample that have no mates by nature (single-end).
    """

    pairs: int
    mean_depth: float | None = None
    fraction_20x: float | None = None
    duplicate_fraction: float | None = None
    aligned_fraction: float | None = None
    contamination: float | None = None
    identity_concordance: float | None = None
    identity_sites: float | None = None
    single_reads: int = 0


@dataclass(frozen=True, slots=True)
class AlleleCounts:
    """What became of the alleles that the sample carries.

    Attributes:
        called: ALT alleles that the sample carries.
        filtered: Those among them that did not pass the caller's filters.
    """

    called: int
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class Laboratory:
    """The performing laboratory.

    Attributes:
        name: As the report shows it.
        system: URI under which it issues identifiers; also what identifies it.
    """

    name: str
    system: str


@unique
class Interpretation(StrEnum):
    """The report's overall interpretation."""

    POSITIVE = "Positive"
    NEGATIVE = "Negative"
    INCONCLUSIVE = "Inconclusive"


@unique
class Standing(StrEnum):
    """Whether the report gives a result."""

    FINAL = "Final"
    HELD = "Held"
    """The sample missed its quality limits; somebody has to decide."""
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class ReportCase:
    """One analysis as its report tells it.

    Attributes:
        findings: What is reported, in the order of the reference.
        withheld: What would be reported had it passed the caller's filters, see `finding.Triage`.
        counts: Of the alleles that the findings were chosen from.
        issued: When the report was made, with a zone: a fact of the inputs, so that making it again gives the
            same bytes.
        tools: Programs and their versions.
        fhir_base: Base URL of the FHIR service.
        missed: The quality limits that the sample missed.
        decision: What was decided on a sample that missed some; None while it is held.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    counts: AlleleCounts
    quality: Quality
    issued: datetime
    laboratory: Laboratory
    fhir_base: str
    withheld: tuple[Finding, ...] = ()
    files: tuple[DataFile, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    missed: tuple[Missed, ...] = ()
    decision: DecidedMarker | None = None

    def __post_init__(self) -> None:
        results = [file for file in self.files if file.role is not FileRole.QUALITY]
        if self.standing is not Standing.FINAL and (self.findings or self.withheld or results):
            raise LedgerError(
                f"Analysis {self.plan.analysis} is {self.standing.lower()}, and its report holds "
                f"{len(self.findings) + len(self.withheld)} variants and {len(results)} files of results; it must "
                "hold none."
            )
        if self.issued.tzinfo is None:
            raise PermanentError(
                f"The issue time {self.issued.isoformat()} of analysis {self.plan.analysis} has no zone; "
                "a report's time needs one."
            )
        alleles = [finding.variant.allele for finding in self.findings]
        if len(set(alleles)) != len(alleles):
            twice = next(allele for allele in alleles if alleles.count(allele) > 1)
            raise LedgerError(
                f"Analysis {self.plan.analysis} has {len(alleles)} findings for {len(set(alleles))} alleles: "
                f"{twice} is reported twice. Each allele is one finding; this is a fault of the interpretation."
            )
        known = {contig.name for contig in self.plan.contigs}
        if stranger := next((allele for allele in alleles if allele.contig not in known), None):
            raise PermanentError(
                f"Analysis {self.plan.analysis} has a finding on contig '{stranger.contig}', which reference bundle "
                f"{self.plan.reference.name} does not have. Were the variants called against another bundle?"
            )
        if len(self.findings) > self.counts.called:
            raise LedgerError(
                f"Analysis {self.plan.analysis} has {len(self.findings)} findings of {self.counts.called} called "
                "alleles; findings are a part of the called alleles."
            )

    @property
    def standing(self) -> Standing:
        """Whether the report gives a result."""
        if not self.missed:
            return Standing.FINAL
        if self.decision is None:
            return Standing.HELD
        return Standing.REJECTED if self.decision.decision is Decision.REJECTED else Standing.FINAL

    @property
    def interpretation(self) -> Interpretation:
        """What a report that gives a result says as a whole.

        Without findings it is negative only when the sample was sequenced deeply enough to have shown them, there was
        knowledge to find them by, and no variant of clinical significance is left in doubt.
        """
        if self.findings:
            return Interpretation.POSITIVE
        if self.withheld or self.is_too_shallow or not self.has_knowledge:
            return Interpretation.INCONCLUSIVE
        return Interpretation.NEGATIVE

    @property
    def has_knowledge(self) -> bool:
        """Whether the reference bundle holds ClinVar; without it no variant can be reported."""
        return Role.CLINVAR in self.plan.reference.versions

    @property
    def is_too_shallow(self) -> bool:
        """Whether the sample was sequenced too thinly for finding nothing to mean anything."""
        depth = self.quality.mean_depth
        return self.quality.pairs + self.quality.single_reads == 0 or (depth is not None and depth < MINIMUM_MEAN_DEPTH)

    def contig(self, allele: Allele) -> Contig:
        """The contig of a finding's allele."""
        return next(contig for contig in self.plan.contigs if contig.name == allele.contig)

    def files_of(self, role: FileRole) -> tuple[DataFile, ...]:
        """The files of a role."""
        return tuple(file for file in self.files if file.role is role)


def main_consequence(variant: AnnotatedVariant) -> Consequence | None:
    """The consequence that names the variant: the first that has a coding name, else the first.

    Consequences come the most severe first.
    """
    named = (consequence for consequence in variant.consequences if consequence.hgvs_c)
    return next(named, next(iter(variant.consequences), None))


def consequence_by_gene(variant: AnnotatedVariant) -> tuple[Consequence, ...]:
    """One consequence per gene, chosen as `main_consequence` does, the main one first."""
    chosen: dict[str, Consequence] = {}
    main = main_consequence(variant)
    ordered = [main] if main else []
    ordered += [consequence for consequence in variant.consequences if consequence.hgvs_c]
    ordered += variant.consequences
    for consequence in ordered:
        if consequence.gene:
            chosen.setdefault(consequence.gene, consequence)
    return tuple(chosen.values())
