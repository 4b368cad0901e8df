"""The one decision of the chain: what to do next, given what has happened.

Pure: reads no clock, disk, network or environment. Queue, timer and HTTP triggers gather facts, call `advance`,
and apply the actions. Applying all of them, or any of them twice, is always right; `due_after` says which of them an
event is about, so that an event costs little.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.actions import (
    Action,
    Close,
    ContinueSplit,
    OpenSplit,
    RecordFailure,
    RunStep,
    Stop,
    SubmitTask,
)
from shared.domain.facts import AttemptState, Facts
from shared.domain.ids import AnalysisId
from shared.domain.markers import Decision, FailureKind, FailureRecord
from shared.domain.order import AlignmentFormat
from shared.domain.plan import Plan
from shared.domain.work import (
    AlignWork,
    CallWork,
    ChunkKey,
    JointWork,
    RecalibrateWork,
    SplitWork,
    Stage,
    Step,
    StepWork,
    Work,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when work that failed for now is tried again.

    Attributes:
        max_attempts: Attempts in all at computing; Batch's own restarts within an attempt are not counted.
        max_delivery_attempts: Attempts at delivering. More, because the results are there and only an outside service
            is missed: with the delays below, an EHR that is away for nine hours still gets its report.
        first_delay_seconds: Delay before the second attempt, s.
        factor: How much longer each further delay is.
        max_delay_seconds: The longest delay, s.
    """

    max_attempts: int = 4
    max_delivery_attempts: int = 12
    first_delay_seconds: int = 60
    factor: int = 4
    max_delay_seconds: int = 3600

    def ready_at(self, failure: FailureRecord, past: int = 0) -> datetime:
        """When the next attempt may begin; `past` attempts were made before an operator's retry."""
        delay = self.first_delay_seconds * self.factor ** (failure.attempt - past)
        return failure.failed + timedelta(seconds=min(delay, self.max_delay_seconds))

    def is_last(self, failure: FailureRecord, past: int = 0) -> bool:
        """Whether there is no further attempt after this one; `past` attempts do not count."""
        is_delivery = failure.work in {Step.HOLD, Step.DELIVER, Step.REJECT, Step.ARCHIVE}
        return failure.attempt + 1 - past >= (self.max_delivery_attempts if is_delivery else self.max_attempts)


def advance(plan: Plan, facts: Facts, now: datetime, retry: RetryPolicy = RetryPolicy()) -> list[Action]:
    """Decide what is to be done now.

    Args:
        plan: The analysis.
        facts: What has happened to it.
        now: The time, UTC; decides only whether a retry's delay is over.
        retry: How often and when to retry.

    Returns:
        The actions in a fixed order; empty when there is only to wait.
    """
    if facts.results & {Stage.ARCHIVED, Stage.FAILED}:
        return [Close()]
    final = next((record for record in final_failures(facts, retry) if record.work != Step.REPORT_QC), None)
    if final:
        return [Stop(final)]
    actions: list[Action] = []
    for work in _needed(plan, facts, retry):
        actions.extend(_attempt(plan, facts, work, now, retry))
    return actions


def final_failures(facts: Facts, retry: RetryPolicy) -> Iterator[FailureRecord]:
    """The failures that are not tried again: the permanent ones by name, then those without attempts left."""
    in_order = sorted(facts.failures, key=lambda record: (record.work, record.attempt))
    yield from (record for record in in_order if record.kind is FailureKind.PERMANENT)
    yield from (record for record in in_order if retry.is_last(record, facts.past.get(record.work, 0)))


def _needed(plan: Plan, facts: Facts, retry: RetryPolicy) -> Iterator[Work]:
    """The units of work whose inputs are there and whose marker is not, in a fixed order."""
    if facts.results & {Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED, Stage.REJECTED}:
        yield from map(StepWork, _steps_after_gathering(facts, retry))
        return
    shards = range(len(plan.shards))
    if facts.called.issuperset(shards):
        yield StepWork(Step.GATHER)
        return
    for group in plan.read_groups:
        if group.id not in facts.splits:
            yield SplitWork(group.id)
    for chunk in sorted(facts.chunks - facts.aligned):
        yield AlignWork(chunk)
    if not _all_aligned(plan, facts):
        return
    if plan.order.options.recalibrates and not facts.recalibrated.issuperset(shards):
        # Every shard is called with the qualities that all shards together give.
        for shard in shards:
            if shard not in facts.recalibrated:
                yield RecalibrateWork(shard)
        return
    for shard in shards:
        if shard not in facts.called:
            yield CallWork(shard)


def _steps_after_gathering(facts: Facts, retry: RetryPolicy) -> Iterator[Step]:
    """The next of the steps to the EHR, and the quality report beside them.

    Only what ends the Batch job waits for the report: archiving, and holding, whose decision needs it. A report that
    cannot be made is not waited for: nobody's results are kept back for want of a page about them.
    """
    is_reported = Stage.QC_REPORTED in facts.results or any(
        record.work == Step.REPORT_QC for record in final_failures(facts, retry)
    )
    if facts.results & {Stage.DELIVERED, Stage.REJECTED}:
        if is_reported:
            yield Step.ARCHIVE
    elif Stage.ANNOTATED not in facts.results:
        yield Step.ANNOTATE
    elif (step := _release(facts)) and (is_reported or step is not Step.HOLD):
        yield step
    if not is_reported:
        yield Step.REPORT_QC


def _release(facts: Facts) -> Step | None:
    """What becomes of annotated results; None while a held sample waits for its decision.

    Gather writes `flagged` before `gathered`, so that whoever sees an annotated sample also sees whether it must be
    held.
    """
    if facts.decision is Decision.REJECTED:
        return Step.REJECT
    if facts.decision is Decision.RELEASED or Stage.FLAGGED not in facts.results:
        return Step.DELIVER
    return None if Stage.HELD in facts.results else Step.HOLD


def _all_aligned(plan: Plan, facts: Facts) -> bool:
    """Whether every read group is split and every chunk of it aligned."""
    return all(
        group.id in facts.splits
        and all(ChunkKey(group.id, number) in facts.aligned for number in range(facts.splits[group.id]))
        for group in plan.read_groups
    )


def _attempt(plan: Plan, facts: Facts, work: Work, now: datetime, retry: RetryPolicy) -> Iterator[Action]:
    """The action that brings a needed unit of work on, if any."""
    if not _is_ready(facts, work, now, retry):
        return
    if isinstance(work, SplitWork) and not _runs_on_batch(plan, work):
        checkpoint = facts.checkpoints.get(work.read_group)
        yield OpenSplit(work.read_group) if checkpoint is None else ContinueSplit(work.read_group, checkpoint)
        return
    if isinstance(work, StepWork) and not _runs_on_batch(plan, work):
        yield RunStep(work)
        return
    yield from bring_on(plan.analysis, facts, work, now, retry)


def _is_ready(facts: Facts, work: Work, now: datetime, retry: RetryPolicy) -> bool:
    """Whether the delay after the newest failure of a unit of work is over."""
    failed = [record for record in facts.failures if record.work == str(work)]
    newest = max(failed, key=lambda record: record.attempt, default=None)
    return newest is None or now >= retry.ready_at(newest, facts.past.get(str(work), 0))


def bring_on(
    analysis: AnalysisId, facts: Facts, work: Work, now: datetime, retry: RetryPolicy
) -> Iterator[SubmitTask | RecordFailure]:
    """The action that brings a task of an analysis or a cohort on, if any."""
    if not _is_ready(facts, work, now, retry):
        return
    attempt = facts.next_attempt(str(work))
    if facts.attempts is not None and (task := facts.attempts.get((str(work), attempt))):
        if task.state is AttemptState.ENDED:
            yield RecordFailure(_wordless(analysis, work, attempt, task.message, task.detail, now))
        return
    yield SubmitTask(work, attempt)


def _runs_on_batch(plan: Plan, work: SplitWork | StepWork) -> bool:
    """Whether a split or a step is too heavy for a function. Deliver and archive only talk to services.

    The quality report reads every alignment again and is in no hurry: it is always a task of its own.
    """
    if isinstance(work, SplitWork):
        return plan.read_group(work.read_group).size >= plan.layout.large_read_group_bytes
    match work.step:
        case Step.GATHER:
            return plan.is_large or (plan.has_large_reference and plan.order.options.alignments is AlignmentFormat.CRAM)
        case Step.ANNOTATE:
            return plan.is_large or plan.has_large_reference
        case _:
            return work.step is Step.REPORT_QC


def _wordless(
    analysis: AnalysisId, work: Work, attempt: int, message: str, detail: str, now: datetime
) -> FailureRecord:
    return FailureRecord(
        analysis=analysis,
        work=str(work),
        attempt=attempt,
        kind=FailureKind.TRANSIENT,
        message=f"The Batch task of {work} ended without writing its marker: {message or 'no reason given'}.",
        detail=detail,
        failed=now,
    )


def is_due_after(action: Action, stage: Stage, chunk: ChunkKey | None = None, work: Work | None = None) -> bool:
    """Whether an action is what a marker's event is about.

    The other actions have, or will have, an event of their own; the timer applies all.

    Args:
        action: What `advance` decided.
        stage: Stage of the marker.
        chunk: The chunk of a chunk's marker; for a checkpoint its read group and next chunk.
        work: The unit of work of a failure record.
    """
    if isinstance(action, RecordFailure):
        return False
    if stage is Stage.RETRIED:
        return True
    if isinstance(action, Stop | Close):
        return stage in {Stage.FAILURE, Stage.ARCHIVED, Stage.JOINED}
    if stage is Stage.FAILURE:
        # A quality report that is given up sets free what waited for it.
        return work == work_of(action) or (
            work == StepWork(Step.REPORT_QC) and work_of(action) in {StepWork(Step.HOLD), StepWork(Step.ARCHIVE)}
        )
    if isinstance(action, OpenSplit):
        return stage is Stage.PLANNED
    if isinstance(action, ContinueSplit):
        return stage is Stage.CHECKPOINT and chunk == ChunkKey(action.read_group, action.next_chunk)
    match action.work:
        case AlignWork(aligned):
            return stage is Stage.CHUNK and aligned == chunk
        case RecalibrateWork():
            return stage in {Stage.ALIGNED, Stage.SPLIT}
        case CallWork():
            return stage in {Stage.ALIGNED, Stage.SPLIT, Stage.RECALIBRATED}
        case SplitWork():
            return stage is Stage.PLANNED
        case JointWork():
            return stage is Stage.COHORT
        case StepWork(step):
            return stage in _BEFORE[step]


def work_of(action: OpenSplit | ContinueSplit | SubmitTask | RunStep) -> Work:
    """The unit of work that an action brings on."""
    return SplitWork(action.read_group) if isinstance(action, OpenSplit | ContinueSplit) else action.work


_BEFORE = {
    Step.GATHER: {Stage.CALLED},
    Step.ANNOTATE: {Stage.GATHERED},
    Step.HOLD: {Stage.ANNOTATED, Stage.QC_REPORTED},
    Step.DELIVER: {Stage.ANNOTATED, Stage.DECIDED},
    Step.REJECT: {Stage.DECIDED},
    Step.REPORT_QC: {Stage.GATHERED},
    Step.ARCHIVE: {Stage.DELIVERED, Stage.REJECTED, Stage.QC_REPORTED},
}
