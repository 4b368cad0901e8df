"""Show how an analysis comes along: a bar per fan-out on a terminal, a line per change elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from infra.local.drop import Lab
from shared.errors import PermanentError, TransientError

POLL_SECONDS = 1.0
START_SECONDS = 60
"""How long a complete drop may take to become an analysis."""

_STEPS = ("gathering", "annotating", "delivering", "archiving", "completed")


def wait_for_plan(lab: Lab, sample: str, check: Callable[[], None]) -> str:
    """Wait until a drop has become an analysis; its id.

    Raises:
        PermanentError: When the drop is refused or incomplete, with the reason.
        TransientError: When nothing happens.
    """
    deadline = time.monotonic() + START_SECONDS
    drop: dict[str, Any] = {}
    while time.monotonic() < deadline:
        check()
        drop = lab.drops(sample)
        if drop["state"] == "refused":
            raise PermanentError(f"The drop of {sample} was refused: {drop['reason']}")
        if drop["state"] == "waiting":
            raise PermanentError(f"The drop of {sample} is incomplete: {drop['reason']}")
        if drop["analysis"] and lab.analysis(drop["analysis"]):
            return str(drop["analysis"])
        time.sleep(POLL_SECONDS)
    raise TransientError(f"The drop of {sample} did not become an analysis within {START_SECONDS} s. See the logs.")


def watch(lab: Lab, analysis: str, check: Callable[[], None], limit_seconds: float) -> dict[str, Any]:
    """Follow an analysis to its end; its last status.

    Raises:
        PermanentError: When it failed, was held or rejected, with the reason.
        TransientError: When it has not ended within the limit.
    """
    view = _Bars() if sys.stdout.isatty() else _Lines()
    told: set[str] = set()
    deadline = time.monotonic() + limit_seconds
    with view:
        while True:
            check()
            status = lab.analysis(analysis)
            if status is not None:
                view.show(status)
                for attempt in status["attempts_failed"]:
                    if attempt["message"] not in told and attempt["kind"] == "transient":
                        told.add(attempt["message"])
                        print(f"Will be tried again: {attempt['message']}", flush=True)
                if status["stage"] == "failed":
                    raise PermanentError(f"Analysis {analysis} failed: {status['failed']}")
                if status["stage"] in {"held", "rejected"}:
                    raise PermanentError(_without_result(status))
                if status["stage"] == "completed":
                    return status
            if time.monotonic() > deadline:
                stage = status["stage"] if status else "planning"
                raise TransientError(f"Analysis {analysis} is still {stage} after {limit_seconds:.0f} s. See the logs.")
            time.sleep(POLL_SECONDS)


def _without_result(status: dict[str, Any]) -> str:
    """Why there is no result, and what to do."""
    reasons = " ".join(status["missed_limits"])
    if status["stage"] == "rejected":
        return f"Analysis {status['analysis']} was rejected: {status['decision']['reason']} {reasons}"
    return (
        f"Analysis {status['analysis']} is held: {reasons} Release or reject it with "
        f"POST /api/analyses/{status['analysis']}/release or .../reject (README: quality limits)."
    )


class _Bars:
    """Live bars."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        for name in ("split", "align", "call", "finish"):
            self._tasks[name] = self._progress.add_task(name, total=None, start=name == "split")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, status: dict[str, Any]) -> None:
        """Move the bars."""
        total = status["chunks_total"]
        finished = _STEPS.index(status["stage"]) if status["stage"] in _STEPS else 0
        for name, done, of in (
            ("split", status["chunks"], total),
            ("align", status["aligned"], total),
            ("call", status["called"], status["shards"]),
            ("finish", finished, len(_STEPS) - 1),
        ):
            if done:
                self._progress.start_task(self._tasks[name])
            self._progress.update(self._tasks[name], completed=done, total=of)
            if of is not None and done == of:
                self._progress.stop_task(self._tasks[name])


class _Lines:
    """A line whenever something changed."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, status: dict[str, Any]) -> None:
        """Print what is new."""
        total = status["chunks_total"] if status["chunks_total"] is not None else "?"
        line = (
            f"{status['stage']:<11} split {status['chunks']}/{total}  aligned {status['aligned']}/{total}  "
            f"called {status['called']}/{status['shards']}"
        )
        if line != self._last:
            print(f"[{time.monotonic() - self._began:6.1f} s] {line}", flush=True)
            self._last = line
