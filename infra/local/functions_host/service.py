"""The host process: index the app, start its triggers, serve HTTP, and end in good order."""

import argparse
import logging
import re
import signal
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.storage.queue import QueueServiceClient

from infra.local.functions_host.app_settings import AppSettings
from infra.local.functions_host.arguments import queue_argument, queue_messages
from infra.local.functions_host.connections import queue_service
from infra.local.functions_host.host_json import HostSettings, load_host_json
from infra.local.functions_host.http_trigger import Endpoint, HttpFront, endpoint
from infra.local.functions_host.indexing import DEFAULT_SCRIPT, Binding, IndexedFunction, load_functions
from infra.local.functions_host.invocation import Invoker, Outcome
from infra.local.functions_host.queue_trigger import QueueTrigger, encode_message
from infra.local.functions_host.schedule import parse_schedule
from infra.local.functions_host.timer_trigger import TimerTrigger
from infra.local.http_server import BackgroundServer
from shared.errors import PermanentError

log = logging.getLogger(__name__)

DEFAULT_APP_ROOT = Path(__file__).resolve().parents[3]
DEFAULT_PORT = 7071
_QUEUE_NAME = re.compile(r"(?=.{3,63})[a-z0-9]+(?:-[a-z0-9]+)*")
_RENEW_SECONDS = 1.0  # how often leases of messages are looked at; they last minutes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the host's options."""
    parser.add_argument("--app-root", type=Path, default=DEFAULT_APP_ROOT, help="folder of host.json")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--grace-seconds", type=float, default=20.0, help="how long running functions may go on after SIGTERM"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the app until SIGTERM or SIGINT; the exit status.

    Raises:
        PermanentError: The app cannot start; the message says why.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Request by request, the SDK's log would hide the functions' own.
    logging.getLogger("azure").setLevel(logging.WARNING)
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    host = FunctionsHost(arguments.app_root)
    with BackgroundServer(host.front, arguments.host, arguments.port) as server:
        host.start()
        print(f"functions host ready at {server.url} ({len(host.functions)} functions)", flush=True)
        stop.wait()
        host.stop(arguments.grace_seconds)
    return 0


class FunctionsHost:
    """One app and its triggers.

    Args:
        app_root: The folder of host.json and of the app's script.

    Raises:
        PermanentError: The app cannot start.
    """

    def __init__(self, app_root: Path) -> None:
        self._settings = AppSettings.load(app_root)
        self._host: HostSettings = load_host_json(app_root, self._settings.host_overrides())
        script = self._settings.get("PYTHON_SCRIPT_FILE_NAME") or DEFAULT_SCRIPT
        self.functions = load_functions(app_root, script)
        self._services: dict[str, QueueServiceClient] = {}
        self._invoker = Invoker(str(app_root), self._host.function_timeout_seconds, self._send_outputs)
        self._queues: list[QueueTrigger] = []
        self._timers: list[TimerTrigger] = []
        endpoints: list[Endpoint] = []
        for function in self.functions:
            if function.trigger.type == "queueTrigger":
                self._queues.append(self._queue_trigger(function))
            elif function.trigger.type == "timerTrigger":
                self._timers.append(self._timer_trigger(function))
            else:
                endpoints.append(endpoint(function, self._host.route_prefix))
            for binding in function.outputs:
                if binding.type == "queue":
                    self._service(function, binding)  # a missing setting is told at the start
        self.front = HttpFront(endpoints, self._invoker, self.run_by_hand, self.wake, self.health)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the queue and timer triggers."""
        for queue in self._queues:
            queue.start()
        for timer in self._timers:
            timer.start()
        threading.Thread(target=self._renew, name="renew", daemon=True).start()

    def stop(self, grace_seconds: float) -> None:
        """Take no more work, wait for running functions, and release the messages of the others."""
        for queue in self._queues:
            queue.stop()
        for timer in self._timers:
            timer.stop()
        self._invoker.refuse_waiting()
        if not self._invoker.drain(grace_seconds):
            log.warning("%d functions still run after %g s; left", self._invoker.running, grace_seconds)
        self._stopping.set()
        for queue in self._queues:
            queue.release()
        self._invoker.close()
        for service in self._services.values():
            service.close()

    def run_by_hand(self, name: str, text: str) -> bool:
        """Run a queue or timer function now; False when there is none of that name."""
        for timer in self._timers:
            if timer.function.name.casefold() == name.casefold():
                timer.run_now("by hand")
                return True
        for queue in self._queues:
            if queue.function.name.casefold() == name.casefold():
                now = datetime.now(UTC)
                metadata = {"Id": str(uuid.uuid4()), "DequeueCount": 1, "InsertionTime": now, "PopReceipt": ""}
                argument = queue_argument(queue.function, text.encode(), metadata)
                self._invoker.start(queue.function, argument, lambda _: None, "by hand")
                return True
        return False

    def wake(self, queue_name: str) -> bool:
        """Look at a queue now; False when no function has it."""
        triggers = [queue for queue in self._queues if queue.queue_name == queue_name]
        for trigger in triggers:
            trigger.wake()
        return bool(triggers)

    def health(self) -> dict[str, Any]:
        """What `/local/health` answers."""
        return {
            "status": "ok",
            "running": self._invoker.running,
            "functions": [
                {
                    "name": function.name,
                    "trigger": function.trigger.type,
                    "queue": next((q.queue_name for q in self._queues if q.function is function), None),
                    **self._invoker.counts(function.name),
                }
                for function in self.functions
            ],
        }

    def _queue_trigger(self, function: IndexedFunction) -> QueueTrigger:
        what = f"Function {function.name}"
        name = self._settings.resolve(str(function.trigger.properties.get("queueName")), what)
        if _QUEUE_NAME.fullmatch(name) is None:
            raise PermanentError(
                f"{what}: {name!r} is no queue name: 3 to 63 lower-case letters, digits and single hyphens inside."
            )
        return QueueTrigger(
            function,
            self._service(function, function.trigger),
            name,
            self._host.queues,
            self._invoker,
        )

    def _timer_trigger(self, function: IndexedFunction) -> TimerTrigger:
        properties = function.trigger.properties
        what = f"Function {function.name}"
        text = self._settings.resolve(str(properties.get("schedule")), what)
        try:
            schedule = parse_schedule(text)
        except ValueError as error:
            raise PermanentError(f"{what}: {error}") from error
        return TimerTrigger(function, schedule, bool(properties.get("runOnStartup")), self._invoker)

    def _service(self, function: IndexedFunction, binding: Binding) -> QueueServiceClient:
        name = str(binding.properties.get("connection") or "")
        if name not in self._services:
            self._services[name] = queue_service(name, self._settings, f"Function {function.name}")
        return self._services[name]

    def _send_outputs(self, function: IndexedFunction, outcome: Outcome) -> None:
        """Send what a function gave to its queue outputs."""
        for binding in function.outputs:
            value = outcome.value if binding.name == "$return" else outcome.outputs.get(binding.name)
            if binding.type != "queue" or value is None:
                continue
            queue_name = self._settings.resolve(str(binding.properties.get("queueName")), f"Function {function.name}")
            queue = self._service(function, binding).get_queue_client(queue_name)
            for message in queue_messages(value):
                queue.send_message(encode_message(message, self._host.queues.message_encoding))

    def _renew(self) -> None:
        while not self._stopping.wait(_RENEW_SECONDS):
            for queue in self._queues:
                queue.renew()
