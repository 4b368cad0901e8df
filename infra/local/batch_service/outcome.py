"""How a run of a task ends, and the pure rules of what becomes of the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any

from infra.local.batch_service.wire import JsonObject


@unique
class Cause(StrEnum):
    """Why a run of a task ended."""

    EXITED = "exited"
    NOT_STARTED = "not started"
    PREPROCESSING = "preprocessing failed"
    TIMED_OUT = "maxWallClockTime is over"
    TERMINATED = "terminated"
    REQUEUED = "requeued"
    PREEMPTED = "preempted"


@unique
class Verdict(StrEnum):
    """What becomes of a task after a run."""

    DONE = "done"
    RETRY = "retry"
    REQUEUE = "requeue"
    PREEMPT = "preempt"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run of a task ended.

    Attributes:
        cause: Who or what ended it.
        exit_code: The process's exit code, 128 + signal number when a signal ended it; None without a process.
        failure: `failureInfo` of the wire for causes that have one of their own.
    """

    cause: Cause
    exit_code: int | None = None
    failure: JsonObject | None = None


def failure_info(code: str, message: str, **details: str) -> JsonObject:
    """Return a `failureInfo` object of the user-error category."""
    info: JsonObject = {"category": "usererror", "code": code, "message": message}
    if details:
        info["details"] = [{"name": name, "value": value} for name, value in details.items()]
    return info


_ENDED = failure_info("TaskEnded", "Task Was Ended by User Request")
_TIMED_OUT = failure_info("TaskEnded", "The task was ended: it ran longer than its maxWallClockTime")


def judge(outcome: Outcome, retry_count: int, max_retries: int) -> Verdict:
    """Return what becomes of a task after a run.

    Args:
        outcome: How the run ended.
        retry_count: Retries the task has had.
        max_retries: Its limit, -1 for none. Only a non-zero exit code is retried.
    """
    if outcome.cause is Cause.PREEMPTED:
        return Verdict.PREEMPT
    if outcome.cause is Cause.REQUEUED:
        return Verdict.REQUEUE
    failed = outcome.cause is Cause.EXITED and outcome.exit_code != 0
    if failed and (max_retries == -1 or retry_count < max_retries):
        return Verdict.RETRY
    return Verdict.DONE


def failure_of(outcome: Outcome) -> JsonObject | None:
    """Return the `failureInfo` of a task that is done, None when it succeeded."""
    if outcome.failure is not None:
        return outcome.failure
    if outcome.cause is Cause.TIMED_OUT:
        return _TIMED_OUT
    if outcome.cause is Cause.TERMINATED:
        return _ENDED
    if outcome.exit_code == 0:
        return None
    message = "The task exited with an exit code representing a failure"
    return failure_info(
        "FailureExitCode", message, Message=message, AdditionalErrorCode=f"FailureExitCode {outcome.exit_code}"
    )


def exit_options(conditions: Mapping[str, Any], outcome: Outcome) -> JsonObject:
    """Return the `exitOptions` that a task's `exitConditions` give for an outcome; empty when none does."""
    if outcome.cause in {Cause.PREPROCESSING, Cause.NOT_STARTED}:
        chosen = conditions.get("preProcessingError") or conditions.get("default") or {}
        return dict(chosen)
    code = outcome.exit_code
    if code is not None:
        for mapping in conditions.get("exitCodes") or ():
            if mapping["code"] == code:
                return dict(mapping["exitOptions"])
        for mapping in conditions.get("exitCodeRanges") or ():
            if mapping["start"] <= code <= mapping["end"]:
                return dict(mapping["exitOptions"])
        if code == 0:
            return {}
    return dict(conditions.get("default") or {})
