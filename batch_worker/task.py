"""Run one unit of work: fetch, run, verify, upload, marker last; failures are written down or left to Batch."""

import logging
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, unique
from pathlib import Path

from shared import naming
from shared.domain.cohort import AnyPlan, CohortPlan
from shared.domain.ids import AnalysisId
from shared.domain.markers import FailureKind, FailureRecord
from shared.domain.work import AlignWork, CallWork, JointWork, RecalibrateWork, SplitWork, Stage, Step, StepWork, Work
from shared.errors import PermanentError
from shared.naming import BlobRef
from shared.ports import BlobStore
from shared.steps.look import read_cohort_plan, read_plan

log = logging.getLogger(__name__)


@unique
class ExitStatus(IntEnum):
    """What the process tells Batch, in the numbers of sysexits.h."""

    DONE = 0
    BAD_DATA = 65
    """A failure record says why; a restart by Batch finds the record and ends at once."""
    TRY_AGAIN = 75
    """Batch restarts the task as often as its constraints allow; then the timer finds it."""


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What a task has.

    Attributes:
        blobs: The data account.
        threads: Threads it may use.
        directory: Scratch space of its own.
        cache: Folder that the node's tasks share.
        clock: The time, UTC.
        share_index: Whether the node's align tasks share one copy of the aligner's index in memory.
        gatk_home: Folder of GATK's jars; only orders for GATK look there.
        multiqc: The program; without it no report of its is made.
    """

    blobs: BlobStore
    threads: int
    directory: Path
    cache: Path
    clock: Callable[[], datetime]
    share_index: bool = False
    gatk_home: Path = Path("/opt/gatk")
    multiqc: Path = Path("/opt/multiqc/bin/multiqc")


def run_task(work: Work, analysis: AnalysisId, attempt: int, context: TaskContext) -> ExitStatus:
    """Run a unit of work to its marker, once: what is done or has failed for good is not done again."""
    blobs = context.blobs
    record = naming.failure_record(analysis, work, attempt)
    try:
        if blobs.facts(record) is not None:
            log.warning("%s failed for good before; see %s", work, record)
            return ExitStatus.BAD_DATA
        plan = read_cohort_plan(analysis, blobs) if isinstance(work, JointWork) else read_plan(analysis, blobs)
        marker = _marker_of(work, plan)
        if blobs.facts(marker) is not None:
            log.info("%s is done already: %s", work, marker)
            return ExitStatus.DONE
        with tempfile.TemporaryDirectory(prefix=f"{work}-", dir=context.directory) as scratch:
            _run(work, plan, context, Path(scratch))
    except PermanentError as error:
        log.exception("%s failed for good", work)
        failure = FailureRecord(
            analysis=analysis,
            work=str(work),
            attempt=attempt,
            kind=FailureKind.PERMANENT,
            message=str(error),
            detail=traceback.format_exc(limit=-3),
            failed=context.clock(),
        )
        blobs.create(record, failure.to_json())
        return ExitStatus.BAD_DATA
    except Exception:
        log.exception("%s failed for now", work)
        return ExitStatus.TRY_AGAIN
    log.info("%s is done: %s", work, marker)
    return ExitStatus.DONE


def _marker_of(work: Work, plan: AnyPlan) -> BlobRef:
    match work:
        case AlignWork(chunk):
            return naming.aligned_marker(plan.analysis, chunk)
        case RecalibrateWork(shard):
            return naming.recalibrated_marker(plan.analysis, shard)
        case CallWork(shard):
            return naming.called_marker(plan.analysis, shard)
        case SplitWork(read_group):
            return naming.split_marker(plan.analysis, read_group)
        case JointWork():
            return naming.result_marker(plan.sample, plan.analysis, Stage.JOINED)
        case StepWork(step):
            return naming.result_marker(plan.sample, plan.analysis, step.stage)


def _run(work: Work, plan: AnyPlan, context: TaskContext, scratch: Path) -> None:
    # Each kind of task loads only its own libraries: a task of seconds starts in less than one.
    if isinstance(plan, CohortPlan):
        from batch_worker.tasks.joint import join_cohort

        join_cohort(plan, context, scratch)
        return
    match work:
        case AlignWork(chunk):
            from batch_worker.tasks.align import align

            align(plan, chunk, context, scratch)
        case RecalibrateWork(shard):
            from batch_worker.tasks.recalibrate import recalibrate

            recalibrate(plan, shard, context, scratch)
        case CallWork(shard):
            from batch_worker.tasks.call import call

            call(plan, shard, context, scratch)
        case SplitWork(read_group):
            from shared.steps.split import split_read_group

            split_read_group(plan, read_group, 0, context.blobs, context.clock)
        case StepWork(Step.GATHER):
            from shared.steps.gather import gather

            gather(plan, context.blobs, context.clock, scratch, context.cache)
        case StepWork(Step.ANNOTATE):
            from shared.steps.annotate_analysis import annotate_analysis

            annotate_analysis(plan, context.blobs, context.clock, scratch, context.cache)
        case StepWork(Step.REPORT_QC):
            from batch_worker.tasks.report_qc import report_qc

            report_qc(plan, context, scratch)
        case _:
            raise PermanentError(f"{work} is done by a function, not by a Batch task.")
