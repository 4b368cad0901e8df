"""Timer triggers: one run at a time, on a schedule in UTC."""

import logging
import threading
from datetime import UTC, datetime

from infra.local.functions_host.arguments import timer_argument
from infra.local.functions_host.indexing import IndexedFunction
from infra.local.functions_host.invocation import Invoker, Outcome
from infra.local.functions_host.schedule import Schedule

log = logging.getLogger(__name__)


class TimerTrigger:
    """Runs a function when its schedule says so.

    A run that takes longer than the interval delays the next one; runs that were missed are not made up for.
    The real host remembers the last run over a restart (`use_monitor`); this one does not.

    Args:
        function: The function.
        schedule: When it runs.
        run_on_startup: Whether it also runs at once.
        invoker: Runs it.
    """

    def __init__(self, function: IndexedFunction, schedule: Schedule, run_on_startup: bool, invoker: Invoker) -> None:
        self.function = function
        self._schedule = schedule
        self._run_on_startup = run_on_startup
        self._invoker = invoker
        self._stop = threading.Event()
        self._last: datetime | None = None
        self._thread = threading.Thread(target=self._keep_time, name=f"timer-{function.name}", daemon=True)

    def start(self) -> None:
        """Begin to keep time."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more runs."""
        self._stop.set()

    def run_now(self, reason: str) -> threading.Event:
        """Run the function once; the event is set when it has ended."""
        ended = threading.Event()
        now = datetime.now(UTC)
        argument = timer_argument(False, self._last, self._schedule.next_after(now))
        self._last = now

        def done(_: Outcome) -> None:
            ended.set()

        self._invoker.start(self.function, argument, done, reason)
        return ended

    def _keep_time(self) -> None:
        if self._run_on_startup:
            self.run_now("timer, at start").wait()
        while not self._stop.is_set():
            due = self._schedule.next_after(datetime.now(UTC))
            wait = (due - datetime.now(UTC)).total_seconds()
            if self._stop.wait(max(0.0, wait)):
                return
            self.run_now(f"timer, due {due:%H:%M:%S}").wait()
