"""The only loop of the system: gather facts, call `advance`, apply the actions.

Events and the timer both end here. An event applies only what it is about; the timer applies everything, except that
it sends a hint where a function has to do long work.
"""

import logging
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from shared import naming
from shared.domain.actions import Action, Close, ContinueSplit, OpenSplit, RecordFailure, RunStep, Stop, SubmitTask
from shared.domain.advance import advance, is_due_after
from shared.domain.cohort import AnyPlan, CohortPlan, advance_cohort
from shared.domain.facts import Facts
from shared.domain.ids import AnalysisId
from shared.domain.markers import Checkpoint, FailedMarker, FailureKind, FailureRecord
from shared.domain.plan import Plan
from shared.domain.report_case import Laboratory
from shared.domain.work import SplitWork, Stage, Step, StepWork, Work
from shared.errors import PermanentError, TransientError
from shared.naming import BlobRef, Container, MarkerRef, Queue
from shared.ports import Notice, Services, TaskRequest
from shared.settings import AppSettings
from shared.steps.cohort import CohortDrop, start_cohort
from shared.steps.ingest import Drop, ingest
from shared.steps.look import find_plan, read_facts, read_plan

log = logging.getLogger(__name__)

RECENT = timedelta(days=2)
"""How long after a drop the timer makes up for lost events; Event Grid itself tries for one day."""

FAILED_NOTICE = "org.fastq2fhir.analysis.failed"
COHORT_FAILED_NOTICE = "org.fastq2fhir.cohort.failed"
JOINED_NOTICE = "org.fastq2fhir.cohort.joined"


class Reconciler:
    """Brings analyses and cohorts on.

    Args:
        services: The outside world.
        settings: The function app's settings.
    """

    def __init__(self, services: Services, settings: AppSettings) -> None:
        self._services = services
        self._settings = settings

    # --- what triggers call --------------------------------------------------------------------------------

    def on_landing(self, folder: str, about: str | None = None) -> tuple[Drop, ...]:
        """Look at a landing folder again; `about` names the blob that was written, when only that is news."""
        if about is None or naming.parse_cohort_blob(about) is not None:
            self.on_cohort(folder)
            if about is not None:
                return ()
        drops = ingest(
            folder,
            self._services,
            self._settings.result_settings,
            self._settings.layout,
            tell_refusal=lambda refused: self._tell_failure(refused, "ingest"),
            about=about,
        )
        for drop in drops:
            if drop.is_news and drop.plan is not None:
                log.info("drop complete: analysis %s", drop.plan.analysis)
            elif drop.is_news and drop.refused_id is not None:
                log.warning("drop refused: %s: %s", drop.refused_id, drop.refused)
        return drops

    def on_cohort(self, cohort: str) -> CohortDrop | None:
        """Look at a cohort again; None when its folder holds no `cohort.json`."""
        drop = start_cohort(
            cohort,
            self._services,
            self._settings.cohort_settings,
            self._settings.shard_bp,
            tell_refusal=lambda refused: self._tell_failure(refused, "ingest", is_cohort=True),
        )
        if drop is not None and drop.is_news:
            log.info("cohort %s", f"begun: {drop.plan.analysis}" if drop.plan else f"refused: {drop.refused_id}")
        return drop

    def on_delivered(self, sample: str) -> None:
        """Look at the cohorts that wait for a sample."""
        self._wake(naming.waiting_prefix(sample))

    def _wake(self, prefix: str) -> None:
        """Look at the cohorts of an index, each once; entries that say what is no longer so are taken off."""
        seen: dict[str, frozenset[str]] = {}
        for entry in self._services.blobs.list(Container.WORK, prefix):
            sample, cohort = naming.parse_waiting_entry(entry.ref.name)
            with _logged(f"cohort {cohort}"):
                if cohort not in seen:
                    drop = self.on_cohort(cohort)
                    seen[cohort] = frozenset(drop.missing if drop else ())
                if sample not in seen[cohort]:
                    self._services.blobs.remove(entry.ref)

    def on_marker(self, ref: MarkerRef, *, is_last_try: bool = False) -> list[Action]:
        """Do what a marker's event is about; returns what was due.

        Args:
            ref: What the marker's name says.
            is_last_try: The queue will not deliver this event again: a transient failure is then written down, so
                that the retry policy takes over from the queue.
        """
        plan = find_plan(ref.analysis, self._services.blobs) or read_plan(ref.analysis, self._services.blobs)
        if ref.stage is Stage.DELIVERED:
            self.on_delivered(plan.sample)
        if ref.stage is Stage.RETRIED:
            # The end of the round before, told late, may have taken it off the index.
            self._services.blobs.create(naming.open_entry(plan.analysis), plan.sample.encode())
        facts = read_facts(plan, self._services.blobs)
        chunk = ref.chunk if ref.read_group else None
        actions = [action for action in self._advance(plan, facts) if is_due_after(action, ref.stage, chunk, ref.work)]
        self._submit(plan, facts, [action for action in actions if isinstance(action, SubmitTask)])
        for action in actions:
            if isinstance(action, ContinueSplit | RunStep):
                assert isinstance(plan, Plan), "a cohort's work is a task"
                self._work(plan, facts, action, is_last_try=is_last_try)
            elif not isinstance(action, SubmitTask):
                self._apply(plan, facts, action)
        return actions

    def reconcile(self) -> int:
        """Look at every open analysis and every order; returns how many open analyses there are.

        It makes up for events that were lost and finds tasks that died without a word. What goes wrong with one
        analysis is logged and does not keep the others waiting.
        """
        count = 0
        for entry in self._services.blobs.list(Container.WORK, naming.OPEN_PREFIX):
            count += 1
            analysis = naming.parse_open_entry(entry.ref.name)
            with _logged(f"analysis {analysis}"):
                self._reconcile_one(analysis, entry.ref)
        for folder in sorted(self._recent_drops()):
            with _logged(f"landing folder {folder}"):
                self.on_landing(folder)
        self._wake(naming.WAITING_PREFIX)
        return count

    def _recent_drops(self) -> set[str]:
        """Folders that changed lately, from one listing; older drops have long had their events."""
        since = self._services.clock() - RECENT
        found = {
            naming.landing_folder(facts.ref.name)
            for facts in self._services.blobs.list(Container.LANDING, "")
            if facts.modified >= since
        }
        return {folder for folder in found if folder is not None}

    # --- the timer's view ----------------------------------------------------------------------------------

    def _reconcile_one(self, analysis: AnalysisId, entry: BlobRef) -> None:
        plan = find_plan(analysis, self._services.blobs)
        if plan is None:
            # The function died between the index entry and the plan: the drop says again what is to be done.
            self.on_landing(self._services.blobs.read(entry).decode())
            if find_plan(analysis, self._services.blobs) is None:
                self._services.blobs.remove(entry)  # the drop has changed since and is another analysis now
            return
        facts = read_facts(plan, self._services.blobs)
        now = self._services.clock()
        quiet = (now - (facts.newest or plan.received)).total_seconds()
        if quiet < self._settings.stalled_seconds and not facts.failures and not facts.results & _ENDED:
            return
        if Stage.HELD in facts.results and not self._advance(plan, facts):
            return  # It waits for a person, perhaps for days: Batch need not be asked.
        facts = read_facts(plan, self._services.blobs, self._services.tasks)
        actions = self._advance(plan, facts)
        self._submit(plan, facts, [action for action in actions if isinstance(action, SubmitTask)])
        for action in actions:
            log.info("analysis %s: timer applies %s", analysis, type(action).__name__)
            if isinstance(action, ContinueSplit | RunStep):
                assert isinstance(plan, Plan), "a cohort's work is a task"
                self._services.hints.send(*_hint(plan, facts, action))
            elif not isinstance(action, SubmitTask):
                self._apply(plan, facts, action)

    # --- applying ------------------------------------------------------------------------------------------

    def _advance(self, plan: AnyPlan, facts: Facts) -> list[Action]:
        if isinstance(plan, CohortPlan):
            return advance_cohort(plan, facts, self._services.clock(), self._settings.retry_policy)
        return advance(plan, facts, self._services.clock(), self._settings.retry_policy)

    def _submit(self, plan: AnyPlan, facts: Facts, actions: list[SubmitTask]) -> None:
        """Hand tasks to Batch, all in one call."""
        if not actions:
            return
        base = shlex.split(self._settings.batch_worker_command)
        slots = self._settings.batch_task_slots
        requests = [
            TaskRequest(
                id=naming.task_id(action.work, action.attempt),
                command=[*base, "run", str(action.work), plan.analysis, str(action.attempt), "--threads", str(slots)],
                slots=slots,
                max_seconds=self._settings.batch_task_seconds,
            )
            for action in actions
        ]
        self._services.tasks.submit(naming.job_id(plan.analysis, facts.round), requests)
        log.info("analysis %s: %d tasks handed to Batch, first %s", plan.analysis, len(requests), requests[0].id)

    def _apply(self, plan: AnyPlan, facts: Facts, action: OpenSplit | RecordFailure | Stop | Close) -> None:
        blobs = self._services.blobs
        match action:
            case OpenSplit(read_group):
                checkpoint = Checkpoint(analysis=plan.analysis, read_group=read_group, next_chunk=0, pairs_done=0)
                blobs.create(naming.checkpoint_blob(plan.analysis, read_group, 0), checkpoint.to_json())
            case RecordFailure(record):
                self._record(record)
            case Stop(record):
                self._stop(plan, facts, record)
            case Close():
                if isinstance(plan, CohortPlan):
                    self._end_cohort(plan, facts)
                blobs.remove(naming.open_entry(plan.analysis))

    def _end_cohort(self, plan: CohortPlan, facts: Facts) -> None:
        """End the Batch job of a joined cohort and tell subscribers, once: the index entry goes last."""
        is_open = self._services.blobs.facts(naming.open_entry(plan.analysis)) is not None
        if Stage.JOINED not in facts.results or not is_open:
            return
        self._services.tasks.finish(naming.job_id(plan.analysis, facts.round), "joined")
        self._services.publisher.publish(
            Notice(
                id=f"{plan.analysis}-joined",
                type=JOINED_NOTICE,
                subject=f"cohorts/{plan.analysis}",
                time=self._services.clock(),
                data={"cohort": plan.analysis, "samples": len(plan.members)},
            )
        )

    def _work(self, plan: Plan, facts: Facts, action: ContinueSplit | RunStep, *, is_last_try: bool) -> None:
        """Do long work in this function, claimed, so that a doubled event does not do it twice."""
        work: Work = SplitWork(action.read_group) if isinstance(action, ContinueSplit) else action.work
        attempt = facts.next_attempt(str(work))
        with self._services.blobs.claim(naming.claim_blob(plan.analysis, _claimed(work))) as is_mine:
            if not is_mine:
                log.info("analysis %s: %s is in hand elsewhere", plan.analysis, work)
                if facts.decision is not None and not is_last_try:
                    # The claim is one for several steps, so this work may not be what is in hand.
                    raise TransientError(f"{work} of analysis {plan.analysis} waits for another step to end.")
                return
            try:
                if isinstance(action, ContinueSplit):
                    self._split(plan, action)
                else:
                    self._run_step(plan, action.work.step)
            except PermanentError as error:
                log.warning("analysis %s: %s failed for good: %s", plan.analysis, work, error)
                self._record(self._failure(plan, work, attempt, FailureKind.PERMANENT, str(error)))
            except Exception as error:
                if not is_last_try:
                    raise
                log.exception("analysis %s: %s failed, attempt %d", plan.analysis, work, attempt)
                message = f"{work} failed for now: {error}"
                self._record(self._failure(plan, work, attempt, FailureKind.TRANSIENT, message))

    def _split(self, plan: Plan, action: ContinueSplit) -> None:
        from shared.steps.split import split_read_group

        if self._services.blobs.facts(naming.split_marker(plan.analysis, action.read_group)) is None:
            split_read_group(
                plan,
                action.read_group,
                action.next_chunk,
                self._services.blobs,
                self._services.clock,
                self._settings.function_seconds,
            )

    def _run_step(self, plan: Plan, step: Step) -> None:
        # Heavy libraries are loaded by the function that needs them, not by every cold start.
        if self._services.blobs.facts(naming.result_marker(plan.sample, plan.analysis, step.stage)) is not None:
            return
        services = self._services
        cache = Path(self._settings.reference_cache)
        with tempfile.TemporaryDirectory(prefix=f"{step}-") as folder:
            match step:
                case Step.GATHER:
                    from shared.steps.gather import gather

                    gather(plan, services.blobs, services.clock, Path(folder), cache)
                case Step.ANNOTATE:
                    from shared.steps.annotate_analysis import annotate_analysis

                    annotate_analysis(plan, services.blobs, services.clock, Path(folder), cache)
                case Step.DELIVER:
                    from shared.steps.deliver import deliver

                    deliver(plan, services, laboratory=self._laboratory, fhir_base=str(self._settings.fhir_url))
                case Step.HOLD:
                    from shared.steps.hold import hold

                    hold(plan, services, laboratory=self._laboratory, fhir_base=str(self._settings.fhir_url))
                case Step.REJECT:
                    from shared.steps.hold import reject

                    reject(plan, services, laboratory=self._laboratory, fhir_base=str(self._settings.fhir_url))
                case Step.REPORT_QC:
                    raise AssertionError("the quality report is a Batch task")
                case Step.ARCHIVE:
                    from shared.steps.archive import archive

                    archive(plan, services, self._settings.landing_tier)
                    services.blobs.remove(naming.open_entry(plan.analysis))

    @property
    def _laboratory(self) -> Laboratory:
        return Laboratory(self._settings.laboratory_name, self._settings.laboratory_system)

    # --- failures ------------------------------------------------------------------------------------------

    def _failure(self, plan: Plan, work: Work, attempt: int, kind: FailureKind, message: str) -> FailureRecord:
        return FailureRecord(
            analysis=plan.analysis,
            work=str(work),
            attempt=attempt,
            kind=kind,
            message=message,
            failed=self._services.clock(),
        )

    def _record(self, record: FailureRecord) -> None:
        ref = naming.failure_record(record.analysis, record.work, record.attempt)
        self._services.blobs.create(ref, record.to_json())

    def _stop(self, plan: AnyPlan, facts: Facts, record: FailureRecord) -> None:
        marker = FailedMarker(
            analysis=plan.analysis,
            sample=plan.sample,
            work=record.work,
            message=record.message,
            detail=record.detail,
            failed=record.failed,
        )
        self._services.tasks.finish(naming.job_id(plan.analysis, facts.round), f"failed: {record.work}")
        # The notice first: after the marker nobody would send it again.
        self._tell_failure(plan.analysis, record.work, facts.round, is_cohort=isinstance(plan, CohortPlan))
        self._services.blobs.create(naming.failed_marker(plan.sample, plan.analysis, facts.round), marker.to_json())
        self._services.blobs.remove(naming.open_entry(plan.analysis))

    def _tell_failure(self, analysis: AnalysisId, work: str, round_number: int = 0, *, is_cohort: bool = False) -> None:
        self._services.publisher.publish(
            Notice(
                id=f"{analysis}-failed-{round_number}" if round_number else f"{analysis}-failed",
                type=COHORT_FAILED_NOTICE if is_cohort else FAILED_NOTICE,
                subject=f"{'cohorts' if is_cohort else 'analyses'}/{analysis}",
                time=self._services.clock(),
                data={"cohort" if is_cohort else "analysis": analysis, "work": work},
            )
        )


_ENDED = frozenset({Stage.ARCHIVED, Stage.JOINED})
"""An open analysis or cohort of such a stage only needs to be taken off the index."""


def _claimed(work: Work) -> Work:
    """What is claimed for a unit of work.

    Holding, delivering and rejecting write the same report, so one claim keeps a late hold from overwriting a final
    report: whoever gets it looks again at the markers.
    """
    is_report = isinstance(work, StepWork) and work.step in {Step.HOLD, Step.REJECT}
    return StepWork(Step.DELIVER) if is_report else work


def _hint(plan: Plan, facts: Facts, action: ContinueSplit | RunStep) -> tuple[Queue, BlobRef]:
    """The queue of the function that does the work, and the blob whose event starts it."""
    if isinstance(action, ContinueSplit):
        return Queue.SPLIT, naming.checkpoint_blob(plan.analysis, action.read_group, action.next_chunk)
    match action.work.step:
        case Step.GATHER:
            return Queue.GATHER, naming.called_marker(plan.analysis, 0)
        case Step.ANNOTATE | Step.REPORT_QC:  # the latter is a Batch task, which no hint starts
            return Queue.ANNOTATE, naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED)
        case Step.DELIVER | Step.HOLD:
            return Queue.DELIVER, naming.result_marker(plan.sample, plan.analysis, Stage.ANNOTATED)
        case Step.REJECT:
            return Queue.DELIVER, naming.result_marker(plan.sample, plan.analysis, Stage.DECIDED)
        case Step.ARCHIVE:
            ended = Stage.REJECTED if Stage.REJECTED in facts.results else Stage.DELIVERED
            return Queue.ARCHIVE, naming.result_marker(plan.sample, plan.analysis, ended)


@contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("%s: could not be looked at; the others go on", what)
