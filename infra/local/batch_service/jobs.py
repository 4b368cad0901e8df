"""Operations on jobs."""

from __future__ import annotations

from datetime import datetime

from infra.local.batch_service import validate
from infra.local.batch_service.book import Book
from infra.local.batch_service.entry import JobEntry
from infra.local.batch_service.model import Job, State
from infra.local.batch_service.wire import JsonObject, WireError, utc_text


def create(book: Book, document: object, now: datetime) -> Job:
    """Create a job; its pool may come later.

    Raises:
        WireError: JobExists, JobBeingDeleted, or what is wrong with the document.
    """
    spec = validate.job(document)
    key = str(spec["id"]).lower()
    if (existing := book.jobs.get(key)) is not None:
        raise WireError("JobBeingDeleted" if existing.job.state is State.DELETING else "JobExists")
    job = Job(spec=spec, sequence=book.next_sequence(), created=utc_text(now))
    job.enter(State.ACTIVE, now)
    entry = book.jobs[key] = JobEntry(job)
    book.save(job)
    book.end_if_all_complete(entry, now)
    return job


def update(book: Book, entry: JobEntry, document: object, now: datetime, *, replace: bool) -> None:
    """Change what may be changed of a job.

    Args:
        book: The account.
        entry: The job.
        document: The request's body.
        now: Present time.
        replace: PUT: what is left out goes back to its default. Otherwise it stays.

    Raises:
        WireError: JobCompleted and the like, or what is wrong with the document.
    """
    changes = validate.job_changes(document)
    refuse_ended(entry.job)
    if replace and "poolInfo" not in changes:
        raise WireError("MissingRequiredProperty", PropertyName="poolInfo")
    pool_id = changes.get("poolInfo", {}).get("poolId")
    if pool_id is not None and str(pool_id).lower() != entry.job.pool_key:
        if entry.job.state is not State.DISABLED:
            raise WireError(
                "OperationInvalidForCurrentState", Reason="the pool of a job changes only while it is disabled"
            )
        entry.unpark()
    if replace:
        for name in validate.PATCHABLE_JOB:
            entry.job.spec.pop(name, None)
    entry.job.spec.update(changes)
    entry.job.touch(now)
    book.save(entry.job)
    book.end_if_all_complete(entry, now)


def terminate(book: Book, entry: JobEntry, document: JsonObject | None, now: datetime) -> None:
    """Begin to terminate a job.

    Raises:
        WireError: JobCompleted, JobBeingTerminated or JobBeingDeleted.
    """
    refuse_ended(entry.job)
    book.terminate(entry, str((document or {}).get("terminateReason") or "UserTerminate"), now)


def disable(book: Book, entry: JobEntry, document: object, now: datetime) -> None:
    """Begin to disable a job.

    Raises:
        WireError: Its state forbids it, or disableTasks is missing or unknown.
    """
    option = document.get("disableTasks") if isinstance(document, dict) else None
    if option is None:
        raise WireError("MissingRequiredProperty", PropertyName="disableTasks")
    if option not in {"requeue", "terminate", "wait"}:
        raise validate.invalid("disableTasks", option, "use one of requeue, terminate, wait")
    refuse_ended(entry.job)
    if entry.job.state is not State.ACTIVE:
        raise WireError("OperationInvalidForCurrentState", Reason=f"the job is {entry.job.state}")
    book.disable(entry, option, now)


def enable(book: Book, entry: JobEntry, now: datetime) -> None:
    """Enable a disabled job again.

    Raises:
        WireError: Its state forbids it.
    """
    refuse_ended(entry.job)
    if entry.job.state is not State.DISABLED:
        raise WireError("OperationInvalidForCurrentState", Reason=f"the job is {entry.job.state}")
    entry.job.enter(State.ACTIVE, now)
    book.save(entry.job)
    book.end_if_all_complete(entry, now)


def delete(book: Book, entry: JobEntry, now: datetime) -> None:
    """Begin to delete a job.

    Raises:
        WireError: JobBeingDeleted.
    """
    if entry.job.state is State.DELETING:
        raise WireError("JobBeingDeleted")
    book.delete(entry, now)


def task_counts(entry: JobEntry) -> JsonObject:
    """Return how many tasks, and how many slots of tasks, are in which state."""
    names = ("active", "running", "completed", "succeeded", "failed")
    tasks, slots = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for task in entry.tasks.values():
        states = [task.state.value]
        if task.state is State.COMPLETED:
            states.append("succeeded" if task.result == "success" else "failed")
        for state in states:
            tasks[state] += 1
            slots[state] += task.slots
    return {"taskCounts": tasks, "taskSlotCounts": slots}


def refuse_ended(job: Job) -> None:
    """Raise when a job can no longer be changed.

    Raises:
        WireError: JobCompleted, JobBeingTerminated or JobBeingDeleted.
    """
    code = {
        State.COMPLETED: "JobCompleted",
        State.TERMINATING: "JobBeingTerminated",
        State.DELETING: "JobBeingDeleted",
    }.get(job.state)
    if code is not None:
        raise WireError(code)
