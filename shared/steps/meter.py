"""Start, end and CPU time of a unit of work, for its marker."""

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypedDict


class Measured(TypedDict):
    """The timing fields of a marker."""

    started: datetime
    ended: datetime
    core_seconds: float


class Meter:
    """Measures from its construction on.

    Args:
        clock: The time, UTC.
        whole_process: Count the CPU time of all threads and ended children (a task that owns its process), or only
            that of the calling thread (a function that shares its process with others).
    """

    def __init__(self, clock: Callable[[], datetime], *, whole_process: bool = False) -> None:
        self._clock = clock
        self._cpu = _process_cpu if whole_process else time.thread_time
        self._started = clock()
        self._began = self._cpu()

    def read(self) -> Measured:
        """The timing fields, ending now."""
        return {
            "started": self._started,
            "ended": self._clock(),
            "core_seconds": round(self._cpu() - self._began, 3),
        }


def _process_cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
