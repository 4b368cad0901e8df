"""What people ask about cohorts: what one waits for, how far it is, where its results are. Reads only."""

from collections.abc import Iterator
from typing import Any

from shared import naming
from shared.domain.cohort import CohortPlan, CohortSettings, JoinedMarker
from shared.domain.ids import AnalysisId
from shared.domain.markers import FailedMarker
from shared.domain.work import Stage
from shared.naming import Container
from shared.ports import BlobStore
from shared.steps.cohort import CohortDrop, look_at_cohort
from shared.steps.look import read_facts


def list_cohorts(
    blobs: BlobStore, settings: CohortSettings, piece_bp: int, *, cohort: str | None = None
) -> Iterator[dict[str, Any]]:
    """All cohorts: first those in landing as they are now, then those that were planned before.

    Args:
        blobs: The data account.
        settings: For the ids of cohorts that are complete and not yet planned.
        piece_bp: For their plans.
        cohort: Only those of this name.
    """
    planned = {
        naming.parse_cohort_entry(facts.ref.name)
        for facts in blobs.list(
            Container.WORK, f"{naming.COHORTS_PREFIX}{cohort}/" if cohort else naming.COHORTS_PREFIX
        )
    }
    for name in [cohort] if cohort else _dropped(blobs):
        drop = look_at_cohort(name, blobs, settings, piece_bp)
        if drop is None:
            continue
        if drop.plan is not None and drop.plan.analysis in planned:
            planned.remove(drop.plan.analysis)
            yield _summary(drop.plan, blobs)
        else:
            yield _of_drop(drop)
    for analysis in sorted(planned):
        data = blobs.find(naming.cohort_plan_blob(analysis))
        if data is not None:
            yield _summary(CohortPlan.model_validate_json(data), blobs)


def _dropped(blobs: BlobStore) -> Iterator[str]:
    for facts in blobs.list(Container.LANDING, ""):
        cohort = naming.parse_cohort_blob(facts.ref.name)
        if cohort is not None:
            yield cohort


def _of_drop(drop: CohortDrop) -> dict[str, Any]:
    """A cohort that is not planned: waiting, refused, or complete and about to be planned."""
    return {
        "cohort": drop.cohort,
        "id": drop.plan.analysis if drop.plan else None,
        "state": "complete" if drop.plan else "refused" if drop.refused else "waiting",
        "reason": drop.waiting or drop.refused,
        "missing": list(drop.missing),
        "samples": list(drop.samples),
    }


def _summary(plan: CohortPlan, blobs: BlobStore) -> dict[str, Any]:
    results = read_facts(plan, blobs).results
    return {
        "cohort": plan.cohort,
        "id": plan.analysis,
        "state": "joined" if Stage.JOINED in results else "failed" if Stage.FAILED in results else "joining",
        "reason": "",
        "missing": [],
        "samples": [member.sample for member in plan.members],
    }


def cohort_status(analysis: str, blobs: BlobStore) -> dict[str, Any] | None:
    """A planned cohort with its analyses, failures and results; None when there is none of this id."""
    if naming.parse_analysis_folder(f"{analysis}/") is None:
        return None
    data = blobs.find(naming.cohort_plan_blob(AnalysisId(analysis)))
    if data is None:
        return None
    plan = CohortPlan.model_validate_json(data)
    facts = read_facts(plan, blobs)
    failed = blobs.find(naming.failed_marker(plan.cohort, plan.analysis, facts.round))
    joined = blobs.find(naming.result_marker(plan.cohort, plan.analysis, Stage.JOINED))
    marker = JoinedMarker.model_validate_json(joined) if joined else None
    folder = naming.results_folder(plan.cohort, plan.analysis)
    return {
        **_summary(plan, blobs),
        "received": plan.received.isoformat(),
        "analyses": [member.model_dump() for member in plan.members],
        "reference": plan.reference.name,
        "caller": plan.caller,
        "records": marker.records if marker else None,
        "attempts_failed": [
            {"work": record.work, "attempt": record.attempt, "kind": record.kind, "message": record.message}
            for record in facts.failures
        ],
        "failed": FailedMarker.model_validate_json(failed).message if failed else None,
        "retries": facts.round,
        "results": [str(blob.ref) for blob in blobs.list(Container.RESULTS, folder)],
    }
