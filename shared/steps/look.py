"""Look at an analysis or a cohort: its plan and its facts, from listings of its markers."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from shared import naming
from shared.domain.cohort import AnyPlan, CohortPlan
from shared.domain.facts import Attempt, AttemptState, Facts
from shared.domain.ids import AnalysisId
from shared.domain.markers import (
    AlignedMarker,
    CalledMarker,
    ChunkMarker,
    DecidedMarker,
    Decision,
    FailureRecord,
    RecalibratedMarker,
    RetriedMarker,
    SplitMarker,
)
from shared.domain.plan import Plan
from shared.domain.work import RESULT_STAGES, ChunkKey, Stage
from shared.naming import Container, MarkerRef
from shared.ports import BlobStore, TaskReport, TaskRunner, TaskState


def analyses(blobs: BlobStore) -> Iterator[AnalysisId]:
    """All analyses that were ever planned, in order of id."""
    for folder in blobs.folders(Container.WORK, ""):
        analysis = naming.parse_analysis_folder(folder)
        if analysis is not None:
            yield analysis


def read_plan(analysis: AnalysisId, blobs: BlobStore) -> Plan:
    """The plan of an analysis.

    Raises:
        PermanentError: When there is none.
    """
    return Plan.model_validate_json(blobs.read(naming.plan_blob(analysis)))


def read_cohort_plan(analysis: AnalysisId, blobs: BlobStore) -> CohortPlan:
    """The plan of a cohort.

    Raises:
        PermanentError: When there is none.
    """
    return CohortPlan.model_validate_json(blobs.read(naming.cohort_plan_blob(analysis)))


def find_plan(analysis: AnalysisId, blobs: BlobStore) -> AnyPlan | None:
    """The plan of an analysis or of a cohort; None when there is neither."""
    if (data := blobs.find(naming.plan_blob(analysis))) is not None:
        return Plan.model_validate_json(data)
    if (data := blobs.find(naming.cohort_plan_blob(analysis))) is not None:
        return CohortPlan.model_validate_json(data)
    return None


def followed(plan: Plan, blobs: BlobStore) -> Iterator[Plan]:
    """The analyses that an analysis follows, the latest first.

    The latest may have failed before it had a report; the report to replace is then that of one before it.
    """
    seen = {plan.analysis}
    while plan.follows is not None and plan.follows not in seen:
        seen.add(plan.follows)
        plan = read_plan(plan.follows, blobs)
        yield plan


def read_facts(plan: AnyPlan, blobs: BlobStore, tasks: TaskRunner | None = None) -> Facts:
    """What has happened to an analysis.

    Args:
        plan: The analysis.
        blobs: Where its markers are.
        tasks: Ask Batch too. It is asked before the markers are listed: a task that ends in between is then seen
            with its marker.
    """
    asked_round = read_round(plan, blobs) if tasks is not None else 0
    attempts = _read_attempts(plan, asked_round, tasks) if tasks is not None else None
    refs: list[MarkerRef] = []
    newest: datetime | None = None
    for container, prefix in (
        (Container.WORK, naming.analysis_folder(plan.analysis)),
        (Container.RESULTS, naming.results_folder(plan.sample, plan.analysis)),
    ):
        for facts in blobs.list(container, prefix):
            ref = naming.parse_marker(facts.ref.container, facts.ref.name)
            if ref is not None:
                refs.append(ref)
                newest = max(newest, facts.modified) if newest else facts.modified
    number, past = _retried(plan, refs, blobs)
    return Facts(
        checkpoints=_checkpoints(refs),
        chunks=frozenset(ref.chunk for ref in refs if ref.stage is Stage.CHUNK),
        splits=_splits(plan, refs, blobs),
        aligned=frozenset(ref.chunk for ref in refs if ref.stage is Stage.ALIGNED),
        recalibrated=frozenset(ref.number for ref in refs if ref.stage is Stage.RECALIBRATED),
        called=frozenset(ref.number for ref in refs if ref.stage is Stage.CALLED),
        results=frozenset(
            ref.stage
            for ref in refs
            if ref.stage in RESULT_STAGES and (ref.stage is not Stage.FAILED or ref.number == number)
        ),
        decision=_decision(plan, refs, blobs),
        round=number,
        past=past,
        failures=_failures(plan, refs, past, blobs),
        attempts=attempts if number == asked_round else None,
        newest=newest,
    )


def _checkpoints(refs: Iterable[MarkerRef]) -> Mapping[str, int]:
    newest: dict[str, int] = {}
    for ref in refs:
        if ref.stage is Stage.CHECKPOINT:
            newest[ref.read_group] = max(ref.number, newest.get(ref.read_group, 0))
    return newest


def _splits(plan: AnyPlan, refs: Iterable[MarkerRef], blobs: BlobStore) -> Mapping[str, int]:
    return {
        ref.read_group: SplitMarker.model_validate_json(
            blobs.read(naming.split_marker(plan.analysis, ref.read_group))
        ).chunks
        for ref in refs
        if ref.stage is Stage.SPLIT
    }


def _decision(plan: AnyPlan, refs: Iterable[MarkerRef], blobs: BlobStore) -> Decision | None:
    if not any(ref.stage is Stage.DECIDED for ref in refs):
        return None
    data = blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.DECIDED))
    return DecidedMarker.model_validate_json(data).decision


def read_round(plan: AnyPlan, blobs: BlobStore) -> int:
    """How often an operator let the analysis be tried again."""
    return sum(1 for _ in blobs.list(Container.WORK, naming.retried_folder(plan.analysis)))


def _retried(plan: AnyPlan, refs: Iterable[MarkerRef], blobs: BlobStore) -> tuple[int, Mapping[str, int]]:
    """The newest round, and the attempts that the rounds before it used up."""
    number = max((ref.number for ref in refs if ref.stage is Stage.RETRIED), default=0)
    if not number:
        return 0, {}
    data = blobs.read(naming.retried_marker(plan.analysis, number))
    return number, RetriedMarker.model_validate_json(data).past


def _failures(
    plan: AnyPlan, refs: Iterable[MarkerRef], past: Mapping[str, int], blobs: BlobStore
) -> tuple[FailureRecord, ...]:
    return tuple(
        FailureRecord.model_validate_json(blobs.read(naming.failure_record(plan.analysis, ref.work, ref.number)))
        for ref in refs
        if ref.work is not None and ref.number >= past.get(str(ref.work), 0)
    )


def _read_attempts(plan: AnyPlan, number: int, tasks: TaskRunner) -> Mapping[tuple[str, int], Attempt]:
    attempts: dict[tuple[str, int], Attempt] = {}
    job = naming.job_id(plan.analysis, number)
    for report in tasks.reports(job).values():
        work, attempt = naming.parse_task_id(report.id)
        attempts[str(work), attempt] = _attempt(job, report, tasks)
    return attempts


def _attempt(job: str, report: TaskReport, tasks: TaskRunner) -> Attempt:
    if report.state in {TaskState.WAITING, TaskState.RUNNING}:
        return Attempt(AttemptState.IN_HAND)
    if report.state is TaskState.SUCCEEDED:
        return Attempt(AttemptState.ENDED, "it ended with success")
    return Attempt(
        AttemptState.ENDED,
        report.message or f"exit code {report.exit_code}",
        tasks.output_tail(job, report.id),
    )


def read_aligned(plan: Plan, blobs: BlobStore) -> dict[ChunkKey, AlignedMarker]:
    """All aligned markers of an analysis, by chunk."""
    found: dict[ChunkKey, AlignedMarker] = {}
    for ref, data in _read_markers(plan, blobs, Stage.ALIGNED):
        found[ref.chunk] = AlignedMarker.model_validate_json(data)
    return found


def read_chunks(plan: Plan, blobs: BlobStore) -> tuple[dict[str, SplitMarker], dict[ChunkKey, ChunkMarker]]:
    """All split markers by read group, and all chunk markers by chunk."""
    splits = {
        ref.read_group: SplitMarker.model_validate_json(data) for ref, data in _read_markers(plan, blobs, Stage.SPLIT)
    }
    chunks = {ref.chunk: ChunkMarker.model_validate_json(data) for ref, data in _read_markers(plan, blobs, Stage.CHUNK)}
    return splits, chunks


def read_recalibrated(plan: Plan, blobs: BlobStore) -> dict[int, RecalibratedMarker]:
    """All recalibrated markers of an analysis, by shard."""
    return {
        ref.number: RecalibratedMarker.model_validate_json(data)
        for ref, data in _read_markers(plan, blobs, Stage.RECALIBRATED)
    }


def read_called(plan: Plan, blobs: BlobStore) -> dict[int, CalledMarker]:
    """All called markers of an analysis, by shard."""
    return {
        ref.number: CalledMarker.model_validate_json(data) for ref, data in _read_markers(plan, blobs, Stage.CALLED)
    }


_FOLDER_OF = {
    Stage.CHUNK: "chunks/",
    Stage.SPLIT: "chunks/",
    Stage.ALIGNED: "aligned/",
    Stage.RECALIBRATED: "recalibrated/",
    Stage.CALLED: "called/",
}
_READERS = 16
"""Markers read at once: a genome has hundreds, each a few milliseconds away."""


def _read_markers(plan: Plan, blobs: BlobStore, stage: Stage) -> list[tuple[MarkerRef, bytes]]:
    prefix = f"{naming.analysis_folder(plan.analysis)}{_FOLDER_OF[stage]}"
    found = []
    for facts in blobs.list(Container.WORK, prefix):
        ref = naming.parse_marker(facts.ref.container, facts.ref.name)
        if ref is not None and ref.stage is stage:
            found.append((ref, facts.ref))
    with ThreadPoolExecutor(_READERS) as pool:
        return list(zip((ref for ref, _ in found), pool.map(blobs.read, (blob for _, blob in found)), strict=True))
