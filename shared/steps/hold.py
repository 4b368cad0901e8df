"""Hold a sample that missed its quality limits, and reject it when an operator says so.

Both post a report without any result: the EHR learns that the sample was analysed and why there is nothing to read.
No variant leaves the results container; the lake gets the quality figures alone. Releasing is the normal delivery.
"""

from collections.abc import Mapping

from shared import naming
from shared.domain.ledger import balance
from shared.domain.markers import (
    AnnotatedMarker,
    DecidedMarker,
    Decision,
    FlaggedMarker,
    GatheredMarker,
    HeldMarker,
    OutputFile,
    RejectedMarker,
)
from shared.domain.plan import Plan
from shared.domain.report_case import AlleleCounts, Laboratory, ReportCase
from shared.domain.work import Stage
from shared.errors import PermanentError, TransientError
from shared.fhir.bundle import build_bundle, count_findings, split_bundle
from shared.lake.rows import qc_table
from shared.naming import Result
from shared.ports import Notice, Services
from shared.report.page import render_page
from shared.steps.deliver import quality_file, quality_of, read_qc, read_release, upload_result
from shared.steps.look import read_round
from shared.steps.meter import Meter

HELD_NOTICE = "org.fastq2fhir.analysis.held"
REJECTED_NOTICE = "org.fastq2fhir.analysis.rejected"


def hold(plan: Plan, services: Services, *, laboratory: Laboratory, fhir_base: str) -> None:
    """Tell the EHR and the subscribers that the sample is held and why; leave `held.json`.

    The Batch job is ended: there is nothing left to compute, and an account may have few jobs open.

    Args:
        plan: The analysis; it is annotated, and flagged by gather.
        services: The outside world.
        laboratory: The performing laboratory.
        fhir_base: Base URL of the FHIR service.
    """
    meter = Meter(services.clock)
    flagged, _ = _read(plan, services)
    case, tools = _case(plan, services, flagged, None, laboratory, fhir_base)
    outputs, resources = _publish(case, services, Result.HELD_REPORT, Result.HELD_BUNDLE)
    services.tasks.finish(naming.job_id(plan.analysis, read_round(plan, services.blobs)), "held")
    # Before the marker: a notice that is lost would never be sent again.
    _tell(plan, services, HELD_NOTICE, "held", {"missed": [one.figure for one in flagged.missed]})
    marker = HeldMarker(analysis=plan.analysis, resources=resources, outputs=outputs, tools=tools, **meter.read())
    services.blobs.create(_marker(plan, Stage.HELD), marker.to_json())


def reject(plan: Plan, services: Services, *, laboratory: Laboratory, fhir_base: str) -> None:
    """Put a cancelled report in the place of the held one, and leave `rejected.json`.

    Args:
        plan: The analysis; it is held, and an operator has rejected it.
        services: The outside world.
        laboratory: The performing laboratory.
        fhir_base: Base URL of the FHIR service.
    """
    meter = Meter(services.clock)
    flagged, decision = _read(plan, services)
    if decision is None or decision.decision is not Decision.REJECTED:
        raise PermanentError(f"Analysis {plan.analysis} was not rejected; its report must not be cancelled.")
    case, tools = _case(plan, services, flagged, decision, laboratory, fhir_base)
    outputs, resources = _publish(case, services, Result.REPORT, Result.BUNDLE)
    _tell(plan, services, REJECTED_NOTICE, "rejected", {})
    marker = RejectedMarker(analysis=plan.analysis, resources=resources, outputs=outputs, tools=tools, **meter.read())
    services.blobs.create(_marker(plan, Stage.REJECTED), marker.to_json())


def _marker(plan: Plan, stage: Stage) -> naming.BlobRef:
    return naming.result_marker(plan.sample, plan.analysis, stage)


def _read(plan: Plan, services: Services) -> tuple[FlaggedMarker, DecidedMarker | None]:
    flagged, decision = read_release(plan, services)
    if flagged is None:
        raise TransientError(f"Analysis {plan.analysis} is not flagged, so there is nothing to hold. Look again.")
    return flagged, decision


def _case(
    plan: Plan,
    services: Services,
    flagged: FlaggedMarker,
    decision: DecidedMarker | None,
    laboratory: Laboratory,
    fhir_base: str,
) -> tuple[ReportCase, dict[str, str]]:
    """The report without a result, and the programs that its Device names: the same as in a final report."""
    gathered = GatheredMarker.model_validate_json(services.blobs.read(_marker(plan, Stage.GATHERED)))
    annotated = AnnotatedMarker.model_validate_json(services.blobs.read(_marker(plan, Stage.ANNOTATED)))
    knowledge = plan.reference.versions
    tools = {name: version for name, version in (gathered.tools | annotated.tools).items() if name not in knowledge}
    case = ReportCase(
        plan=plan,
        findings=(),
        counts=AlleleCounts(0),
        quality=quality_of(gathered, read_qc(plan, services)[0]),
        issued=decision.decided if decision else annotated.ended,
        laboratory=laboratory,
        fhir_base=fhir_base.rstrip("/"),
        files=(quality_file(plan, gathered, services),),
        tools=tools,
        missed=flagged.missed,
        decision=decision,
    )
    return case, tools


def _publish(
    case: ReportCase, services: Services, report: Result, bundle_name: Result
) -> tuple[tuple[OutputFile, ...], tuple[str, ...]]:
    """Lake, page and FHIR server, in this order; the files written and the resources as the server answered."""
    plan = case.plan
    page = render_page(case)
    bundle = build_bundle(case, page)
    balance("findings", 0, f"a sample that is {case.standing.lower()}", count_findings(bundle), "the FHIR bundle")
    figures = qc_table(plan, read_qc(plan, services)[0])
    rows = services.lake.replace(figures, plan.analysis)
    balance("rows", figures.data.num_rows, "the results for lake table qc", rows, "the lake")
    outputs = (
        upload_result(plan, report, page.encode(), services),
        upload_result(plan, bundle_name, bundle, services),
    )
    return outputs, tuple(ref for part in split_bundle(bundle) for ref in services.fhir.post_transaction(part))


def _tell(plan: Plan, services: Services, kind: str, word: str, more: Mapping[str, object]) -> None:
    services.publisher.publish(
        Notice(
            id=f"{plan.analysis}-{word}",
            type=kind,
            subject=f"analyses/{plan.analysis}",
            time=services.clock(),
            data={"analysis": plan.analysis, **more},
        )
    )
