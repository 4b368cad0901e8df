"""Sending events to queues: at least once, in time order of their due times, with faults on request.

Event Grid promises neither order nor a single delivery; the faults make a local run show what that means.
"""

import heapq
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from azure.core.exceptions import AzureError

log = logging.getLogger(__name__)

_SHUFFLE_SECONDS = 0.5  # long enough that the events of one burst change places
_RETRY_SECONDS = 0.5  # between attempts while the storage does not answer


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong on purpose.

    Attributes:
        drop: Probability that a delivery is lost, 0 to 1.
        duplicate: Probability that a delivery comes twice, 0 to 1.
        delay_seconds: A delivery is late by up to this many seconds, evenly spread.
        shuffle: Whether deliveries of one burst change places.
        seed: Seed of the random choices, which follow the order of the log.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    delay_seconds: float = 0.0
    shuffle: bool = False
    seed: int = 0

    def plan(self, choices: random.Random) -> tuple[float, ...]:
        """The delays (s) after which one delivery is made; none when it is lost."""
        if choices.random() < self.drop:
            return ()
        copies = 2 if choices.random() < self.duplicate else 1
        most = self.delay_seconds + (_SHUFFLE_SECONDS if self.shuffle else 0.0)
        return tuple(choices.random() * most for _ in range(copies))


class Progress:
    """How far the log is dealt with: everything before the first line that still has work to do."""

    def __init__(self, offset: int) -> None:
        self._lock = threading.Lock()
        self._read = offset
        self._open: dict[int, int] = {}

    def begin(self, start: int) -> None:
        """One more piece of work depends on the line that begins at `start`."""
        with self._lock:
            self._open[start] = self._open.get(start, 0) + 1

    def end(self, start: int) -> None:
        """A piece of work of that line is done."""
        with self._lock:
            self._open[start] -= 1
            if not self._open[start]:
                del self._open[start]

    def read_to(self, offset: int) -> None:
        """Every line before `offset` has been looked at."""
        with self._lock:
            self._read = offset

    @property
    def done(self) -> int:
        """The offset from which a restart must read again."""
        with self._lock:
            return min(self._open, default=self._read)

    @property
    def pending(self) -> int:
        """How many lines still have work to do."""
        with self._lock:
            return len(self._open)


@dataclass(order=True)
class _Job:
    due: float
    order: int
    work: Callable[[], None] = field(compare=False)
    done: Callable[[], None] = field(compare=False)


class Dispatcher:
    """Runs jobs at their due times in a few threads and tries each until it succeeds.

    Args:
        threads: How many run at once; the work is waiting for the storage.
    """

    def __init__(self, threads: int = 4) -> None:
        self._jobs: list[_Job] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"relay-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], None], done: Callable[[], None], delay_seconds: float = 0.0) -> None:
        """Run `work` after a delay, then `done`; storage errors are tried again, other errors are logged."""
        with self._changed:
            heapq.heappush(self._jobs, _Job(time.monotonic() + delay_seconds, next(self._order), work, done))
            self._changed.notify()

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Finish the running jobs; those not begun are left (their log lines are read again at the next start)."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        end = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.work()
            except AzureError as error:
                log.warning("storage did not take an event, trying again: %s", str(error).splitlines()[0])
                with self._changed:
                    job.due = time.monotonic() + _RETRY_SECONDS
                    heapq.heappush(self._jobs, job)
                continue
            except Exception:
                log.exception("an event could not be made")
            job.done()

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._stopping:
                wait = self._jobs[0].due - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._jobs)
                self._changed.wait(wait)
            return None
