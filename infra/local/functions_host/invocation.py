"""Running functions: a pool of threads for plain ones, one event loop for coroutines, as in the Python worker."""

import asyncio
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from infra.local.functions_host.indexing import IndexedFunction

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 1.0  # for an event loop that a blocking call inside a coroutine holds up
_WATCH_SECONDS = 0.1  # how late a timeout may be noticed


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended.

    Attributes:
        value: What the function returned.
        error: What it raised, or a TimeoutError; None when it succeeded.
        outputs: Values of its `func.Out` parameters.
        seconds: How long it took.
    """

    value: Any
    error: BaseException | None
    outputs: dict[str, Any]
    seconds: float


class Out(func.Out[Any]):
    """The value of an output parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Set the value."""
        self._value = val

    def get(self) -> Any:
        """The value; None when it was not set."""
        return self._value


class InvocationContext(func.Context):
    """What a parameter `context` holds."""

    def __init__(self, name: str, invocation_id: str, directory: str) -> None:
        self._name = name
        self._id = invocation_id
        self._directory = directory
        self._local = threading.local()
        self._local.invocation_id = invocation_id

    @property
    def invocation_id(self) -> str:
        """The id of this run."""
        return self._id

    @property
    def thread_local_storage(self) -> Any:
        """Holds `invocation_id`."""
        return self._local

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def function_directory(self) -> str:
        """The app's folder."""
        return self._directory

    @property
    def trace_context(self) -> Any:
        """None: there is no distributed trace on one machine."""
        return None

    @property
    def retry_context(self) -> Any:
        """None: retry policies do not apply to the triggers that run here."""
        return None


class _Invocation:
    def __init__(self, function: IndexedFunction, on_done: Callable[[Outcome], None], reason: str) -> None:
        self.function = function
        self.id = str(uuid.uuid4())
        self.on_done = on_done
        self.reason = reason
        self.outs = {binding.name: Out() for binding in function.outputs if binding.name != "$return"}
        self.started: float | None = None
        self.ended = False


class Invoker:
    """Starts functions and tells how they ended.

    Args:
        app_root: The app's folder, for `context`.
        timeout_seconds: The longest run; None has no limit.
        send_outputs: Sends what a successful function gave to its queue outputs; when that fails, it has
        failed. threads: Size of the pool; None takes PYTHON_THREADPOOL_THREAD_COUNT or Python's default.
    """

    def __init__(
        self,
        app_root: str,
        timeout_seconds: float | None,
        send_outputs: Callable[[IndexedFunction, Outcome], None],
        threads: int | None = None,
    ) -> None:
        self._app_root = app_root
        self._send_outputs = send_outputs
        self._timeout_seconds = timeout_seconds
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Condition()
        self._running: set[_Invocation] = set()
        self._counts: dict[str, dict[str, int]] = {}
        count = threads or int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or 0)
        # Daemon threads: a function that never ends must not keep the process alive after the grace.
        self._threads = count or min(32, (os.cpu_count() or 1) + 4)
        for number in range(self._threads):
            threading.Thread(target=self._pool_thread, name=f"function-{number}", daemon=True).start()
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._run_loop, name="function-loop", daemon=True)
        self._loop_thread.start()
        self._closed = threading.Event()
        self._draining = threading.Event()
        if timeout_seconds is not None:
            threading.Thread(target=self._watch, name="function-timeouts", daemon=True).start()

    def start(
        self,
        function: IndexedFunction,
        argument: Any,
        on_done: Callable[[Outcome], None],
        reason: str,
    ) -> None:
        """Run a function; `on_done` is called once, from another thread.

        Args:
            function: What to run.
            argument: The value of its trigger's parameter.
            on_done: Told how it ended.
            reason: Why it runs, for the log.
        """
        run = _Invocation(function, on_done, reason)
        arguments = {function.trigger.name: argument, **run.outs}
        if function.wants_context:
            arguments["context"] = InvocationContext(function.name, run.id, self._app_root)
        with self._lock:
            self._running.add(run)
        if function.is_async:
            asyncio.run_coroutine_threadsafe(self._await(run, arguments), self._loop)
        else:
            self._work.put(lambda: self._call(run, arguments))

    @property
    def running(self) -> int:
        """How many invocations have not ended."""
        with self._lock:
            return len(self._running)

    def counts(self, name: str) -> dict[str, int]:
        """How many invocations of a function succeeded and failed."""
        with self._lock:
            return dict(self._counts.get(name, {"succeeded": 0, "failed": 0}))

    def refuse_waiting(self) -> None:
        """Start no run that has not begun: such a run is dropped without an outcome."""
        self._draining.set()

    def drain(self, grace_seconds: float) -> bool:
        """Wait for the running invocations; whether all ended."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._running, grace_seconds)

    def close(self) -> None:
        """Stop the idle threads; those inside a function are left behind."""
        self._closed.set()
        for _ in range(self._threads):
            self._work.put(None)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join(_CLOSE_SECONDS)

    def _run_loop(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _pool_thread(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _call(self, run: _Invocation, arguments: dict[str, Any]) -> None:
        if self._draining.is_set():
            with self._lock:
                self._running.discard(run)
                self._lock.notify_all()
            return
        run.started = time.monotonic()
        try:
            value = run.function.call(**arguments)
        except Exception as error:  # noqa: BLE001 (whatever an app raises is the outcome, never the host's end)
            self._end(run, None, error)
        else:
            self._end(run, value, None)

    async def _await(self, run: _Invocation, arguments: dict[str, Any]) -> None:
        run.started = time.monotonic()
        value, failure = None, None
        try:
            value = await run.function.call(**arguments)
        except Exception as error:  # noqa: BLE001 (as above)
            failure = error
        # Telling the outcome talks to the storage, which must not stall the other coroutines.
        self._work.put(lambda: self._end(run, value, failure))

    def _end(self, run: _Invocation, value: Any, error: BaseException | None) -> None:
        if error is None and value is not None and not run.function.has_return:
            error = RuntimeError(f"function {run.function.name!r} without a $return binding returned a value")
        with self._lock:
            if run.ended:
                log.warning("%s (%s) ended after its timeout; its result is ignored", run.function.name, run.id)
                return
            run.ended = True
        seconds = time.monotonic() - (run.started or time.monotonic())
        outputs = {name: out.get() for name, out in run.outs.items() if out.get() is not None}
        name = run.function.name
        if error is None:
            try:
                self._send_outputs(run.function, Outcome(value, None, outputs, seconds))
            except Exception as failure:  # noqa: BLE001 (a bad value or a storage error: the run has failed)
                error = failure
        result = "Failed" if error else "Succeeded"
        try:
            run.on_done(Outcome(value, error, outputs, seconds))
        except Exception:
            log.exception("%s: its outcome could not be recorded", name)
            result = "Failed"
        level = logging.ERROR if error else logging.INFO
        log.log(
            level,
            "Executed %s (%s, %d ms, %s) %s",
            name,
            result,
            round(seconds * 1000),
            run.id,
            run.reason,
            exc_info=error,
        )
        with self._lock:
            counts = self._counts.setdefault(name, {"succeeded": 0, "failed": 0})
            counts["failed" if result == "Failed" else "succeeded"] += 1
            self._running.discard(run)
            self._lock.notify_all()

    def _watch(self) -> None:
        assert self._timeout_seconds is not None
        while not self._closed.wait(_WATCH_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [r for r in self._running if r.started is not None and not r.ended]
            for run in late:
                if now - (run.started or now) > self._timeout_seconds:
                    # The real host restarts its worker process here; a thread cannot be ended from outside.
                    text = f"{run.function.name} exceeded functionTimeout of {self._timeout_seconds:g} s"
                    self._end(run, None, TimeoutError(text))
