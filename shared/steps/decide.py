"""What an operator decides: to release or reject a held analysis, to try a failed one again."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from shared import naming
from shared.domain.cohort import CohortPlan
from shared.domain.ids import AnalysisId, Document
from shared.domain.markers import DecidedMarker, Decision, RetriedMarker
from shared.domain.plan import Plan
from shared.domain.progress import progress_of
from shared.domain.work import Stage
from shared.errors import PermanentError
from shared.ports import BlobStore
from shared.steps.look import read_facts


class UnknownAnalysisError(PermanentError):
    """There is no such analysis."""


class DecisionConflictError(PermanentError):
    """The analysis is not in the state that the decision is about, or something else was decided before."""


def _one_line(value: object) -> object:
    """Text on one line, as the report prints it."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    if not line.isprintable():
        raise ValueError("it holds characters that cannot be printed")
    return line


class DecisionRequest(Document):
    """What an operator sends."""

    by: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@ -]{0,63}$"),
        Field(description="Who decides: a staff id or a role of the laboratory; the report shows it"),
    ]
    reason: Annotated[
        str,
        StringConstraints(min_length=3, max_length=1000),
        BeforeValidator(_one_line),
        Field(description="Why; the report shows it, so it must hold nothing of other patients"),
    ]


def parse_request(body: bytes) -> DecisionRequest:
    """Read the body of a request.

    Raises:
        PermanentError: Naming each field that is wrong; values are not repeated.
    """
    try:
        return DecisionRequest.model_validate_json(body)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in error.errors())
        raise PermanentError(
            f'The body must be JSON such as {{"by": "lab-director", "reason": "Depth suffices for this gene."}}: '
            f"{faults}"
        ) from error


def decide(
    analysis: str, request: DecisionRequest, decision: Decision, blobs: BlobStore, clock: Callable[[], datetime]
) -> DecidedMarker:
    """Release or reject a held analysis; what was decided, by this request or by an equal one before.

    One blob stands for either decision and is only ever created, so of two decisions at once one is the first and the
    other is told so. The blob's event brings the analysis on.

    Raises:
        UnknownAnalysisError: There is no such analysis.
        DecisionConflictError: It is not held, or the other was decided before.
    """
    plan = _plan(analysis, blobs)
    ref = naming.result_marker(plan.sample, plan.analysis, Stage.DECIDED)
    if (earlier := blobs.find(ref)) is None:
        facts = read_facts(plan, blobs)
        if Stage.HELD not in facts.results or Stage.FAILED in facts.results:
            raise DecisionConflictError(_not_held(progress_of(plan, facts).stage, facts.results))
        marker = DecidedMarker(
            analysis=plan.analysis,
            sample=plan.sample,
            decision=decision,
            by=request.by,
            reason=request.reason,
            decided=clock(),
        )
        if blobs.create(ref, marker.to_json()):
            return marker
        earlier = blobs.read(ref)
    decided = DecidedMarker.model_validate_json(earlier)
    if decided.decision is not decision:
        raise DecisionConflictError(
            f"The analysis was {decided.decision} by {decided.by} at {decided.decided.isoformat()}; a decision stands. "
            "To have the sample reported differently, order a new analysis."
        )
    return decided


def _not_held(stage: str, results: frozenset[Stage]) -> str:
    if Stage.FAILED in results:
        return "The analysis has failed, so there is nothing to decide; GET /api/analyses/{id} says why."
    if Stage.FLAGGED in results:
        return f"The sample missed its quality limits and is about to be held (now: {stage}). Try again in a moment."
    return f"The analysis is not held (now: {stage}). Only a sample that missed its quality limits awaits a decision."


def retry(analysis: str, request: DecisionRequest, blobs: BlobStore, clock: Callable[[], datetime]) -> RetriedMarker:
    """Let a failed analysis or cohort be tried again: what is done stays, what failed has as many attempts as at first.

    For what failed from outside: a service that was away for longer than the attempts last, a setting that was wrong.
    Bad input fails again; corrected files are a new analysis.

    Raises:
        UnknownAnalysisError: There is no such analysis.
        DecisionConflictError: It has not failed, or is being tried again.
    """
    plan = _cohort(analysis, blobs) or _plan(analysis, blobs)
    facts = read_facts(plan, blobs)
    if Stage.FAILED not in facts.results:
        now = (
            progress_of(plan, facts).stage
            if isinstance(plan, Plan)
            else ("joined" if Stage.JOINED in facts.results else "joining")
        )
        raise DecisionConflictError(f"The analysis has not failed (now: {now}); there is nothing to try again.")
    works = {record.work for record in facts.failures}
    marker = RetriedMarker(
        analysis=plan.analysis,
        round=facts.round + 1,
        past={**facts.past, **{work: facts.next_attempt(work) for work in works}},
        by=request.by,
        reason=request.reason,
        retried=clock(),
    )
    # The index entry first: an analysis that goes on is always found by the timer.
    blobs.create(naming.open_entry(plan.analysis), plan.sample.encode())
    if not blobs.create(naming.retried_marker(plan.analysis, marker.round), marker.to_json()):
        raise DecisionConflictError("Somebody else has just let the analysis be tried again.")
    return marker


def _cohort(analysis: str, blobs: BlobStore) -> CohortPlan | None:
    known = re.fullmatch(r"[0-9a-f]{24}", analysis)
    data = blobs.find(naming.cohort_plan_blob(AnalysisId(analysis))) if known else None
    return CohortPlan.model_validate_json(data) if data else None


def _plan(analysis: str, blobs: BlobStore) -> Plan:
    known = re.fullmatch(r"[0-9a-f]{24}", analysis)
    data = blobs.find(naming.plan_blob(AnalysisId(analysis))) if known else None
    if data is None:
        raise UnknownAnalysisError("GET /api/analyses lists the analyses and their ids.")
    return Plan.model_validate_json(data)
