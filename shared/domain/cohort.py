"""Cohorts: which analyses are genotyped together, the frozen plan of it, and the decision what to do next."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from shared.domain.actions import Action, Close, Stop
from shared.domain.advance import RetryPolicy, bring_on, final_failures
from shared.domain.facts import Facts
from shared.domain.ids import AnalysisId, Document, digest
from shared.domain.markers import Marker
from shared.domain.order import BundleName, Caller
from shared.domain.plan import Plan, ReferenceChoice
from shared.domain.reads import SampleName
from shared.domain.work import JointWork, Stage
from shared.errors import PermanentError

JOINT_VERSION = 1
"""Raised by hand with each change of the code that changes a cohort's results, so that its id changes too."""

MAX_SAMPLES = 500
"""One process has all GVCFs open at once, and systems give a process 1,024 files."""

AnalysisName = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$")]


class CohortMember(Document):
    """A sample, and which of its analyses; the newest delivered one when none is named."""

    sample: SampleName
    analysis: AnalysisName | None = None


class CohortOrder(Document):
    """What a user drops: `landing/{cohort}/cohort.json`.

    Unknown fields are refused, so that a misspelt one is not silently ignored.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    cohort: Annotated[SampleName | None, Field(description="Name of the cohort; equals the folder's name")] = None
    samples: Annotated[
        tuple[CohortMember, ...],
        Field(
            min_length=2,
            max_length=MAX_SAMPLES,
            description="Names of samples, or objects with `sample` and `analysis`; the columns come in this order",
        ),
    ]
    reference: Annotated[
        BundleName | None, Field(description="Reference bundle that the analyses must have; checked when given")
    ] = None

    @field_validator("samples", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"sample": one} if isinstance(one, str) else one for one in value)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        seen: set[str] = set()
        for member in self.samples:
            if member.sample in seen:
                raise ValueError(f"`samples` names {member.sample} twice: name each sample once")
            seen.add(member.sample)
        return self


class CohortSettings(Document):
    """Settings that change a cohort's results and therefore its id.

    Attributes:
        gatk_group_bp: GATK's GVCFs are genotyped by groups of whole contigs of this many bp or more.
    """

    gatk_group_bp: Annotated[int, Field(ge=1)] = 25_000_000


class ChosenAnalysis(Document):
    """A sample's analysis whose GVCF is joined."""

    sample: SampleName
    analysis: AnalysisName


class CohortPlan(Document):
    """The frozen plan of one cohort: which analyses, against what, with which settings.

    Attributes:
        analysis: Its id, in the same space as those of analyses: jobs, tasks and failures are named alike.
        cohort: Its name.
        received: When the last of what it is made of came in: `cohort.json` or a delivery.
        members: In the order of the columns.
        piece_bp: Reference bp that one process of the task joins; changes no result.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    analysis: AnalysisId
    cohort: str
    received: datetime
    members: Annotated[tuple[ChosenAnalysis, ...], Field(min_length=2)]
    reference: ReferenceChoice
    caller: Caller
    settings: CohortSettings
    piece_bp: Annotated[int, Field(ge=1)]
    joint_version: int = JOINT_VERSION

    @property
    def sample(self) -> str:
        """The folder of its results, where an analysis has its sample."""
        return self.cohort


class JoinedMarker(Marker):
    """A cohort's GVCFs are in one VCF.

    Attributes:
        samples: In the order of the columns.
        records: Records of the VCF, one ALT allele each.
        passing: Those that are PASS.
        gvcf_bytes: Size of the GVCFs that were read.
    """

    cohort: str
    samples: tuple[str, ...]
    records: int
    passing: int
    gvcf_bytes: int


def cohort_id(
    cohort: str,
    members: Iterable[ChosenAnalysis],
    manifest_sha256: str,
    caller: Caller,
    settings: CohortSettings,
) -> AnalysisId:
    """The id of a cohort, from all that decides its results and their names.

    GATK's setting is left out where bcftools joins: it has no part in it.
    """
    deciding = {
        "cohort": cohort,
        "members": [[member.sample, member.analysis] for member in members],
        "reference": manifest_sha256,
        "caller": caller,
        "settings": settings.model_dump(mode="json") if caller is Caller.GATK else {},
        "joint_version": JOINT_VERSION,
    }
    return AnalysisId(digest(deciding)[:24])


def freeze_cohort(
    cohort: str,
    plans: Mapping[str, Plan],
    received: datetime,
    settings: CohortSettings,
    piece_bp: int,
    reference: str | None = None,
) -> CohortPlan:
    """Freeze a cohort's plan; the same analyses give the same id, whatever the time and the cutting.

    Args:
        cohort: Its name.
        plans: The chosen analyses by sample, in the order of the columns.
        received: See `CohortPlan`.
        settings: Change the results and the id.
        piece_bp: Changes neither.
        reference: Name of the bundle that the analyses must have.

    Raises:
        PermanentError: When the analyses cannot be joined, naming two that differ.
    """
    first = next(iter(plans.values()))
    for plan in plans.values():
        if reference is not None and plan.reference.name != reference:
            raise PermanentError(
                f"Cohort {cohort} asks for reference bundle {reference}, but analysis {plan.analysis} of sample "
                f"{plan.sample} was made with {plan.reference.name}. Name another analysis, or correct `reference`."
            )
        if plan.reference.manifest_sha256 != first.reference.manifest_sha256:
            raise PermanentError(
                f"Analysis {first.analysis} of sample {first.sample} was made with reference bundle "
                f"{_bundle(first)}, analysis {plan.analysis} of sample {plan.sample} with {_bundle(plan)}; variants of "
                "two references cannot be joined. Analyse all samples with one bundle, or name analyses that were."
            )
        if plan.order.options.caller is not first.order.options.caller:
            raise PermanentError(
                f"Analysis {first.analysis} of sample {first.sample} was called by {first.order.options.caller}, "
                f"analysis {plan.analysis} of sample {plan.sample} by {plan.order.options.caller}; what they say of "
                "positions without a variant cannot be joined. Analyse all samples with one caller, or name analyses "
                "that were."
            )
    members = tuple(ChosenAnalysis(sample=sample, analysis=plan.analysis) for sample, plan in plans.items())
    caller = first.order.options.caller
    return CohortPlan(
        analysis=cohort_id(cohort, members, first.reference.manifest_sha256, caller, settings),
        cohort=cohort,
        received=received,
        members=members,
        reference=first.reference,
        caller=caller,
        settings=settings,
        piece_bp=piece_bp,
    )


AnyPlan = Plan | CohortPlan
"""What has an id, an index entry, a Batch job and failures."""


def _bundle(plan: Plan) -> str:
    return f"{plan.reference.name} ({plan.reference.manifest_sha256[:12]})"


def advance_cohort(plan: CohortPlan, facts: Facts, now: datetime, retry: RetryPolicy) -> list[Action]:
    """Decide what is to be done now for a cohort; pure, and safe to apply twice, as `advance`.

    Args:
        plan: The cohort.
        facts: What has happened to it.
        now: The time, UTC; decides only whether a retry's delay is over.
        retry: How often and when to retry.
    """
    if facts.results & {Stage.JOINED, Stage.FAILED}:
        return [Close()]
    final = next(final_failures(facts, retry), None)
    if final:
        return [Stop(final)]
    return list(bring_on(plan.analysis, facts, JointWork(), now, retry))
