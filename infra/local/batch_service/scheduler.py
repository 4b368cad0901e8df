"""The only loop: waits for a change or a deadline, then starts what there is room for."""

from __future__ import annotations

import logging
import shutil
import threading
from datetime import UTC, datetime

from infra.local.batch_service.book import Book
from infra.local.batch_service.outcome import Cause, Outcome
from infra.local.batch_service.process import Run, process_start

_LOG = logging.getLogger(__name__)
_STOP_SECONDS = 10.0  # killed processes are reaped within milliseconds; longer means a stuck disk


class Scheduler:
    """Runs the tasks of a book as processes until stopped."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="batch-scheduler", daemon=True)
        self._run_threads: set[threading.Thread] = set()

    def start(self) -> None:
        """Start scheduling in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Kill all running tasks, put them back to active, and return when no process is left."""
        with self._book.changed:
            self._stopping = True
            for run in self._book.runs.values():
                run.end(Cause.REQUEUED)
            self._book.changed.notify_all()
            threads = list(self._run_threads)
        self._thread.join(_STOP_SECONDS)
        for thread in threads:
            thread.join(_STOP_SECONDS)

    def _loop(self) -> None:
        while True:
            with self._book.changed:
                if self._stopping:
                    return
                now = datetime.now(UTC)
                directories, deadline = self._book.due(now)
                runs = self._book.claim(now)
                if not runs and not directories:
                    seconds = None if deadline is None else (deadline - now).total_seconds()
                    # threading cannot wait longer than its own maximum, which is centuries
                    self._book.changed.wait(None if seconds is None else min(seconds, threading.TIMEOUT_MAX))
                    continue
                for run in runs:
                    self._begin(run)
            for directory in directories:
                shutil.rmtree(directory, ignore_errors=True)

    def _begin(self, run: Run) -> None:
        thread = threading.Thread(target=self._execute, args=(run,), name=f"batch-{run.task.key}", daemon=True)
        self._run_threads.add(thread)
        thread.start()

    def _execute(self, run: Run) -> None:
        try:
            outcome = run.execute(lambda pid: self._note(run, pid))
        except Exception:  # noqa: BLE001 - a bug must not lose the task: it fails, the reason is in the log
            _LOG.exception("run of task %s failed inside the service", run.task.id)
            run.end(Cause.TERMINATED)
            outcome = Outcome(Cause.TERMINATED)
        self._book.run_ended(run, outcome)
        with self._book.changed:
            self._run_threads.discard(threading.current_thread())

    def _note(self, run: Run, pid: int) -> None:
        started = process_start(pid)
        self._book.note_process(run, None if started is None else [pid, started])
