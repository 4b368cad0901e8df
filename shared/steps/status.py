"""What people ask: how far analyses are, what drops wait for, whether the services answer. Reads only."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from shared import naming
from shared.domain.facts import Facts
from shared.domain.ids import AnalysisId
from shared.domain.markers import DecidedMarker, FailedMarker, FlaggedMarker
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.progress import progress_of
from shared.domain.wording import describe_missed
from shared.domain.work import Stage
from shared.errors import PipelineError, TransientError
from shared.naming import Container
from shared.ports import BlobStore, Services
from shared.steps.ingest import Drop, look_at_folder
from shared.steps.look import analyses, read_facts


def list_statuses(blobs: BlobStore) -> Iterator[dict[str, Any]]:
    """All analyses, each with stage and counts."""
    for analysis in analyses(blobs):
        data = blobs.find(naming.plan_blob(analysis))
        if data is None:
            continue
        try:
            plan = Plan.model_validate_json(data)
        except ValidationError as error:
            # One that cannot be read must not hide the others.
            yield {
                "analysis": analysis,
                "sample": None,
                "stage": "unreadable",
                "reason": f"plan.json: {error.error_count()} faults",
            }
            continue
        yield _summary(plan, read_facts(plan, blobs))


def analysis_status(analysis: str, blobs: BlobStore) -> dict[str, Any] | None:
    """One analysis with its failures and results; None when there is no such analysis."""
    if naming.parse_analysis_folder(f"{analysis}/") is None:
        return None
    data = blobs.find(naming.plan_blob(AnalysisId(analysis)))
    if data is None:
        return None
    plan = Plan.model_validate_json(data)
    facts = read_facts(plan, blobs)
    folder = naming.results_folder(plan.sample, plan.analysis)
    failed = blobs.find(naming.failed_marker(plan.sample, plan.analysis, facts.round))
    return {
        **_summary(plan, facts),
        "test": plan.order.test.display,
        "reference": plan.reference.name,
        "folder": plan.folder or plan.sample,
        "follows": plan.follows,
        "read_groups": [group.id for group in plan.read_groups],
        "attempts_failed": [
            {"work": record.work, "attempt": record.attempt, "kind": record.kind, "message": record.message}
            for record in facts.failures
        ],
        "failed": FailedMarker.model_validate_json(failed).message if failed else None,
        "retries": facts.round,
        "missed_limits": _missed_limits(plan, facts, blobs),
        "decision": _decision(plan, facts, blobs),
        "results": [str(blob.ref) for blob in blobs.list(Container.RESULTS, folder)],
    }


def _missed_limits(plan: Plan, facts: Facts, blobs: BlobStore) -> list[str]:
    """One sentence per quality limit that the sample missed."""
    if Stage.FLAGGED not in facts.results:
        return []
    data = blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.FLAGGED))
    return [describe_missed(one) for one in FlaggedMarker.model_validate_json(data).missed]


def _decision(plan: Plan, facts: Facts, blobs: BlobStore) -> dict[str, str] | None:
    """What was decided on a held sample, by whom, when and why; None before."""
    if Stage.DECIDED not in facts.results:
        return None
    data = blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.DECIDED))
    marker = DecidedMarker.model_validate_json(data)
    return {
        "decision": marker.decision,
        "by": marker.by,
        "reason": marker.reason,
        "decided": marker.decided.isoformat(),
    }


def _summary(plan: Plan, facts: Facts) -> dict[str, Any]:
    return {
        "analysis": plan.analysis,
        "sample": plan.sample,
        "received": plan.received.isoformat(),
        **asdict(progress_of(plan, facts)),
    }


def list_drops(
    services: Services,
    settings: ResultSettings,
    layout: Layout,
    *,
    folder: str | None = None,
    sample: str | None = None,
) -> list[dict[str, Any]]:
    """The drops of landing, one per sample: complete, waiting for what, or refused why.

    Args:
        services: The outside world.
        settings: For the ids of analyses.
        layout: For the plans.
        folder: Only those of this folder.
        sample: Only those of this sample; where it has a folder of its own, only this folder is looked at.
    """
    if folder is None and sample is not None and any(services.blobs.list(Container.LANDING, f"{sample}/")):
        folder = sample
    folders = [f"{folder}/"] if folder else services.blobs.folders(Container.LANDING, "")
    found = (drop for name in folders for drop in _look_at(name.rstrip("/"), services, settings, layout))
    return [_drop_status(drop) for drop in found if sample is None or drop.sample == sample]


def _look_at(folder: str, services: Services, settings: ResultSettings, layout: Layout) -> tuple[Drop, ...]:
    try:
        return look_at_folder(folder, services, settings, layout)
    except TransientError as error:  # a file is being replaced just now: it must not hide the others
        return (Drop(folder, folder, waiting=str(error)),)


def _drop_status(drop: Drop) -> dict[str, Any]:
    return {
        "sample": drop.sample,
        "folder": drop.folder,
        "state": "complete" if drop.plan else "refused" if drop.refused else "waiting",
        "analysis": drop.plan.analysis if drop.plan else None,
        "follows": drop.plan.follows if drop.plan else None,
        "reason": drop.waiting or drop.refused,
        "missing": list(drop.missing),
        "files": list(drop.files),
        "notes": list(drop.notes),
    }


def check_services(services: Services) -> dict[str, str]:
    """What does not answer, by name, and why; empty when all do."""
    checks: dict[str, Callable[[], object]] = {
        "storage": lambda: services.blobs.facts(naming.manifest_blob("health")),
        "batch": lambda: services.tasks.reports("health"),
    }
    faults = {}
    for name, check in checks.items():
        try:
            check()
        except PipelineError as error:
            faults[name] = str(error)
    if not services.fhir.is_healthy():
        faults["fhir"] = "The FHIR service does not answer with its capability statement. Check FHIR_URL."
    return faults
