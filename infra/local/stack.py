"""The local stack: every cloud service of the system as a local process, with the settings that join them."""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from infra.local.azurite import connection_string
from infra.local.gatk import installed_gatk
from infra.local.part import Part
from infra.local.ports import free_ports, is_free
from shared.errors import PermanentError

READY_SECONDS = 180
"""The first start also installs the Node packages."""

ENDPOINTS_FILE = "endpoints.json"

BATCH_ACCOUNT = "localbatch"
BATCH_KEY = "bG9jYWwgZGV2ZWxvcG1lbnQga2V5LCBubyBzZWNyZXQ="
"""Public, as Azurite's: base64 of "local development key, no secret"."""

BATCH_POOL = "local"
USUAL_PORTS = (10000, 10001, 10100, 10200, 10300, 7071)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the parts listen."""

    blob: str
    queue: str
    batch: str
    fhir: str
    topic: str
    functions: str
    connection_string: str


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How the stack runs.

    Attributes:
        state: Folder of all its data and logs; a later stack on the same folder goes on with them.
        slots: Tasks that Batch runs at once.
        settings: Settings of the function app on top of the stack's own.
        relay_arguments: Further arguments of the event relay, such as faults.
        usual_ports: Take the well-known ports where they are free.
    """

    state: Path
    slots: int = os.cpu_count() or 1
    settings: Mapping[str, str] | None = None
    relay_arguments: tuple[str, ...] = ()
    usual_ports: bool = False


class RunningStack(Protocol):
    """A stack that can be used: one's own, or another process's."""

    @property
    def endpoints(self) -> Endpoints:
        """Where the parts listen."""
        ...

    def check(self) -> None:
        """Raise when a part has ended."""
        ...


class AttachedStack:
    """A stack that another process runs, such as `./run demo --keep`."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints

    def check(self) -> None:
        """Whoever runs the stack looks after it."""


@contextlib.contextmanager
def open_stack(options: StackOptions) -> Iterator[RunningStack]:
    """The stack that runs on this state already; else one that lasts as long as the block."""
    try:
        with Stack(options) as stack:
            yield stack
    except StateInUseError as error:
        print(f"Using the stack that runs on {options.state} already.", flush=True)
        yield AttachedStack(error.endpoints)


class StateInUseError(PermanentError):
    """Another stack runs on this state folder."""

    def __init__(self, state: Path, endpoints: Endpoints) -> None:
        super().__init__(
            f"A stack runs on {state} already; its functions are at {endpoints.functions}. Stop it first, or give "
            "another folder with --state."
        )
        self.endpoints = endpoints


class Stack:
    """Starts all parts in order and stops them in reverse; use it in a `with` block.

    Raises:
        StateInUseError: On entering, when another stack runs on the same state: two would damage it.
    """

    def __init__(self, options: StackOptions) -> None:
        self._options = replace(options, state=options.state.resolve())  # the parts run in another folder
        self._parts: list[Part] = []
        ports = _ports(usual=options.usual_ports)
        blob, queue, batch, fhir, topic, functions = ports
        self._ports = ports
        self.endpoints = Endpoints(
            blob=f"http://127.0.0.1:{blob}/devstoreaccount1",
            queue=f"http://127.0.0.1:{queue}/devstoreaccount1",
            batch=f"http://127.0.0.1:{batch}",
            fhir=f"http://127.0.0.1:{fhir}",
            topic=f"http://127.0.0.1:{topic}/completed/api/events",
            functions=f"http://127.0.0.1:{functions}/api",
            connection_string=connection_string(blob, queue),
        )

    @property
    def settings(self) -> dict[str, str]:
        """The function app's settings: what differs from the cloud, and nothing else."""
        return {
            "AzureWebJobsStorage": self.endpoints.connection_string,
            "DATA_STORAGE": self.endpoints.connection_string,
            "LAKE_STORAGE": self.endpoints.connection_string,
            "BATCH_ENDPOINT": self.endpoints.batch,
            "BATCH_ACCOUNT": BATCH_ACCOUNT,
            "BATCH_KEY": BATCH_KEY,
            "BATCH_POOL": BATCH_POOL,
            "BATCH_WORKER_COMMAND": f"{sys.executable} -m batch_worker",
            "FHIR_URL": self.endpoints.fhir,
            "COMPLETED_TOPIC_ENDPOINT": self.endpoints.topic,
            "COMPLETED_TOPIC_KEY": BATCH_KEY,
            "GATK_HOME": str(installed_gatk().home or ""),
            "MULTIQC": shutil.which("multiqc") or "",
            "REFERENCE_CACHE": str((self._options.state / "reference-bundles").resolve()),
            "RECONCILE_SCHEDULE": "*/20 * * * * *",
            "STALLED_SECONDS": "30",
            "RETRY_SECONDS": "5",
            "MAX_DELIVERY_ATTEMPTS": "2",  # on one machine a service that is away is a fault, not an outage
            **(self._options.settings or {}),
        }

    def __enter__(self) -> Self:
        self._lock_state()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _lock_state(self) -> None:
        state = self._options.state
        state.mkdir(parents=True, exist_ok=True)
        self._lock = (state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            known = json.loads((state / ENDPOINTS_FILE).read_bytes())
            raise StateInUseError(state, Endpoints(**known)) from error

    def check(self) -> None:
        """Raise when a part has ended by itself."""
        for part in self._parts:
            part.check()

    def kill_and_restart_functions(self) -> None:
        """Kill the functions host hard and start it again: what a test of crashes needs."""
        self._parts.pop().kill()
        self._start_functions()

    def _start_functions(self) -> None:
        port = str(self._ports[-1])
        self._add("functions", "--port", port, environment=self.settings).wait_ready(READY_SECONDS)

    def _start(self) -> None:
        from infra.local.node_runtime import ensure_packages
        from infra.local.storage import make_storage

        ensure_packages()  # here, where its words reach the user, and not in two parts at once
        blob, queue, batch, fhir, topic, functions = (str(port) for port in self._ports)
        state = self._options.state
        access_log = state / "azurite-access.log"
        azurite = self._add(
            "azurite", "--state", str(state / "azurite"), "--blob-port", blob, "--queue-port", queue,
            "--access-log", str(access_log),
        )  # fmt: skip
        fhir_part = self._add("fhir", "--port", fhir, "--state", str(state / "fhir"))
        batch_part = self._add(
            "batch", "--port", batch, "--account", BATCH_ACCOUNT, "--key", BATCH_KEY, "--pool", BATCH_POOL,
            "--slots", str(self._options.slots), "--state", str(state / "batch"),
        )  # fmt: skip
        azurite.wait_ready(READY_SECONDS)
        make_storage(self.endpoints.connection_string)
        relay = self._add(
            "relay", "--connection-string", self.endpoints.connection_string, "--access-log", str(access_log),
            "--state", str(state / "relay"), "--port", topic, "--topic-key", BATCH_KEY,
            "--wake", f"http://127.0.0.1:{functions}", *self._options.relay_arguments,
        )  # fmt: skip
        for part in (fhir_part, batch_part, relay):
            part.wait_ready(READY_SECONDS)
        self._start_functions()
        (state / ENDPOINTS_FILE).write_text(json.dumps(asdict(self.endpoints), indent=2) + "\n")

    def _add(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Part:
        log = self._options.state / "logs" / f"{name}.log"
        part = Part(name, [name, *arguments], environment or {}, log)
        self._parts.append(part)
        return part

    def _stop(self) -> None:
        # Functions first, the storage last: a function that ends can still write its marker.
        for part in reversed(self._parts):
            with contextlib.suppress(KeyboardInterrupt):
                part.stop()
        self._parts.clear()
        self._lock.close()


def _ports(*, usual: bool) -> tuple[int, ...]:
    free = free_ports(len(USUAL_PORTS))
    if not usual:
        return tuple(free)
    return tuple(port if is_free(port) else other for port, other in zip(USUAL_PORTS, free, strict=True))
