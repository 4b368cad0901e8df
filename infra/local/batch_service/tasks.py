"""Operations on tasks."""

from __future__ import annotations

from datetime import datetime

from infra.local.batch_service import validate
from infra.local.batch_service.book import Book
from infra.local.batch_service.entry import JobEntry
from infra.local.batch_service.jobs import refuse_ended
from infra.local.batch_service.model import State, Task
from infra.local.batch_service.outcome import Cause, Outcome
from infra.local.batch_service.wire import JsonObject, WireError, utc_text

MAX_COLLECTION = 100
"""Tasks in one addtaskcollection request."""


def add(book: Book, entry: JobEntry, document: object, now: datetime) -> Task:
    """Add one task to a job.

    Raises:
        WireError: TaskExists, JobCompleted and the like, or what is wrong with the document.
    """
    refuse_ended(entry.job)
    spec = validate.task(document)
    key = str(spec["id"]).lower()
    if key in entry.tasks:
        raise WireError("TaskExists")
    if spec.get("dependsOn") and not entry.job.spec.get("usesTaskDependencies"):
        raise WireError("TaskDependenciesNotSpecifiedOnJob")
    _check_job_actions(entry, spec)
    _check_container(book, entry, spec)
    task = Task(
        spec=spec,
        sequence=book.next_sequence(),
        created=utc_text(now),
        job_key=entry.job.key,
    )
    task.enter(State.ACTIVE, now)
    entry.tasks[key] = task
    entry.enqueue(task)
    book.save(task)
    return task


def _check_job_actions(entry: JobEntry, spec: JsonObject) -> None:
    if entry.job.acts_on_failure:
        return
    conditions = spec.get("exitConditions") or {}
    options = [conditions.get(name) or {} for name in ("preProcessingError", "fileUploadError", "default")]
    for name in ("exitCodes", "exitCodeRanges"):
        options += [mapping["exitOptions"] for mapping in conditions.get(name) or ()]
    if any(option.get("jobAction") for option in options):
        raise validate.invalid(
            "jobAction", "set", "the job's onTaskFailure is noaction, so a task cannot act on the job"
        )


def _check_container(book: Book, entry: JobEntry, spec: JsonObject) -> None:
    settings = spec.get("containerSettings")
    pool = book.pools.get(entry.job.pool_key)
    if settings and pool is not None and not pool.runs_containers:
        raise validate.invalid(
            "containerSettings",
            settings["imageName"],
            f"pool {pool.id} has no containerConfiguration; its tasks must have no containerSettings",
        )


def add_collection(book: Book, entry: JobEntry, document: object, base_url: str, now: datetime) -> list[JsonObject]:
    """Add up to 100 tasks; each has a result of its own.

    Raises:
        WireError: The request as a whole is refused.
    """
    items = document.get("value") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise WireError("MissingRequiredProperty", PropertyName="value")
    if len(items) > MAX_COLLECTION:
        raise WireError("InvalidRequestBody", Reason=f"{len(items)} tasks in one request; {MAX_COLLECTION} may")
    refuse_ended(entry.job)
    results: list[JsonObject] = []
    for item in items:
        task_id = item.get("id") if isinstance(item, dict) else None
        try:
            task = add(book, entry, item, now)
        except WireError as error:
            results.append(
                {
                    "status": "ClientError",
                    "taskId": task_id,
                    "error": error.element("", utc_text(now)),
                }
            )
            continue
        results.append(
            {
                "status": "Success",
                "taskId": task.id,
                "eTag": task.etag,
                "lastModified": task.modified,
                "location": f"{base_url}/jobs/{entry.job.id}/tasks/{task.id}",
            }
        )
    return results


def replace(book: Book, task: Task, document: object, now: datetime) -> None:
    """Change a task's constraints; a run that is under way keeps its time limit.

    Raises:
        WireError: TaskCompleted, or what is wrong with the document.
    """
    constraints = validate.task_constraints(document)
    _refuse_completed(task)
    task.spec["constraints"] = constraints
    task.touch(now)
    book.save(task)


def terminate(book: Book, entry: JobEntry, task: Task, now: datetime) -> None:
    """End a task; one that waits is completed without ever running.

    Raises:
        WireError: TaskCompleted.
    """
    _refuse_completed(task)
    run = book.runs.get((entry.job.key, task.key))
    if run is not None and run.task is task:
        run.end(Cause.TERMINATED)
        return
    book.complete(entry, task, Outcome(Cause.TERMINATED), now)


def reactivate(book: Book, entry: JobEntry, task: Task, now: datetime) -> None:
    """Run a failed task once more.

    Raises:
        WireError: The task succeeded or is not completed, or the job has ended.
    """
    refuse_ended(entry.job)
    if task.state is not State.COMPLETED or task.result == "success":
        raise WireError(
            "OperationInvalidForCurrentState", Reason="only a task that completed with a failure can be reactivated"
        )
    task.reactivate(now)
    entry.enqueue(task)
    book.save(task)


def delete(book: Book, entry: JobEntry, task: Task, now: datetime) -> None:
    """Remove a task and its files, ending it first when it runs."""
    del entry.tasks[task.key]
    book.forget(task)
    run = book.runs.get((entry.job.key, task.key))
    if run is not None and run.task is task:
        run.end(Cause.TERMINATED)  # its directory goes when its processes are gone
    else:
        book.discard_files(entry.job, task)
    book.end_if_all_complete(entry, now)


def preempt(book: Book, job_id: str | None, task_id: str | None) -> JsonObject | None:
    """Kill a running task as the loss of its spot node does: it is requeued, no retry is counted.

    Args:
        book: The account.
        job_id: Only tasks of this job; None for any.
        task_id: Only this task; None for any.

    Returns:
        Job and task id of the oldest run that matches, None when none does.
    """
    for run in book.runs.values():  # in order of their start
        entry = book.jobs[run.job_key]
        if job_id is not None and run.job_key != job_id.lower():
            continue
        if task_id is not None and run.task.key != task_id.lower():
            continue
        run.end(Cause.PREEMPTED)
        return {"jobId": entry.job.id, "taskId": run.task.id, "nodeId": run.node.id}
    return None


def _refuse_completed(task: Task) -> None:
    if task.state is State.COMPLETED:
        raise WireError("TaskCompleted")
