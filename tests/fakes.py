"""One fake per port of `shared.ports`: small, in memory, and held to the same contract as the adapters."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from shared.domain.markers import OutputFile
from shared.errors import PermanentError, PipelineError, TransientError
from shared.naming import BlobRef, Container, Queue
from shared.ports import BlobFacts, LakeTable, Notice, Services, TaskReport, TaskRequest, TaskState
from tests.factories import NOON

BLOCK_BYTES = 8 * 1024**2


@dataclass
class FakeClock:
    """A clock that stands still, or goes on by `tick` each time it is read."""

    now: datetime = NOON
    tick: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass, s."""
        self.now += timedelta(seconds=seconds)


class Killed(Exception):  # noqa: N818 - what happened, not an error of the code under test
    """The machine died between two effects."""


@dataclass(frozen=True)
class _Stored:
    data: bytes
    facts: BlobFacts


class FakeBlobs:
    """Blobs in memory; implements `ports.BlobStore`.

    Attributes:
        events: Every blob written, in order: what BlobCreated events would tell.
        heads: Every blob whose beginning was read, in order.
        kill_after: The process dies instead of making the write after this many; None never.
    """

    def __init__(self, clock: Callable[[], datetime] | None = None, kill_after: int | None = None) -> None:
        self._clock = clock or FakeClock()
        self._stored: dict[BlobRef, _Stored] = {}
        self._version = 0
        self._leases: set[BlobRef] = set()
        self._lock = threading.Lock()
        self.events: list[BlobRef] = []
        self.heads: list[BlobRef] = []
        self.kill_after = kill_after

    def put(self, ref: BlobRef, data: bytes, *, modified: datetime | None = None, has_md5: bool = True) -> BlobFacts:
        """Upload as a user does, over what is there; a large upload often has no MD5."""
        if self.kill_after is not None:
            if self.kill_after == 0:
                raise Killed(str(ref))
            self.kill_after -= 1
        with self._lock:
            self._version += 1
            facts = BlobFacts(
                ref=ref,
                size=len(data),
                etag=f"0x{self._version:X}",
                md5=hashlib.md5(data, usedforsecurity=False).hexdigest() if has_md5 else "",
                modified=modified or self._clock(),
                tier="hot",
            )
            self._stored[ref] = _Stored(data, facts)
            self.events.append(ref)
        return facts

    def names(self, container: Container, prefix: str = "") -> list[str]:
        """Names below a prefix."""
        return [facts.ref.name for facts in self.list(container, prefix)]

    def contents(self, container: Container, prefix: str = "") -> dict[str, bytes]:
        """Bytes by name below a prefix."""
        return {facts.ref.name: self._stored[facts.ref].data for facts in self.list(container, prefix)}

    def list(self, container: Container, prefix: str) -> Iterator[BlobFacts]:
        with self._lock:
            found = [
                stored.facts
                for ref, stored in self._stored.items()
                if ref.container == container and ref.name.startswith(prefix)
            ]
        yield from sorted(found, key=lambda facts: facts.ref.name)

    def folders(self, container: Container, prefix: str) -> Iterator[str]:
        below = (facts.ref.name.removeprefix(prefix) for facts in self.list(container, prefix))
        yield from dict.fromkeys(f"{prefix}{name.partition('/')[0]}/" for name in below if "/" in name)

    def facts(self, ref: BlobRef) -> BlobFacts | None:
        stored = self._stored.get(ref)
        return stored.facts if stored else None

    def read(self, ref: BlobRef) -> bytes:
        data = self.find(ref)
        if data is None:
            raise PermanentError(f"Could not read {ref}: it is not there.")
        return data

    def find(self, ref: BlobRef) -> bytes | None:
        stored = self._stored.get(ref)
        return stored.data if stored else None

    def open(self, ref: BlobRef, content: str | None = None, start: int = 0) -> BinaryIO:
        facts = self.facts(ref)
        if facts is None:
            raise PermanentError(f"{ref} is not there any more. Upload it again.")
        if content is not None and facts.content != content:
            raise PermanentError(f"{ref} was replaced after the analysis was planned.")
        changed = TransientError if content is None else PermanentError
        return io.BufferedReader(cast("Any", _FakeReader(self, facts, changed, start)), BLOCK_BYTES)

    def head(self, ref: BlobRef, size: int, content: str) -> bytes:
        stored = self._stored.get(ref)
        if stored is None or stored.facts.content != content:
            raise TransientError(f"{ref} has changed since its folder was listed. It is looked at again.")
        self.heads.append(ref)
        return stored.data[:size]

    def create(self, ref: BlobRef, data: bytes) -> bool:
        if ref in self._stored:
            return False
        self.put(ref, data)
        return True

    @contextmanager
    def writer(self, ref: BlobRef) -> Iterator["_FakeWriter"]:
        stream = _FakeWriter(ref)
        yield stream
        self.put(ref, bytes(stream.data))

    def upload(self, ref: BlobRef, path: Path) -> OutputFile:
        with self.writer(ref) as stream:
            stream.write(path.read_bytes())
        return stream.output()

    def download(self, output: OutputFile, path: Path) -> None:
        data = self.read(BlobRef(Container(output.container), output.name))
        if (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) != (output.size, output.md5):
            raise TransientError(f"{output.name} has {len(data):,} bytes; its marker says {output.size:,} bytes.")
        path.write_bytes(data)

    @contextmanager
    def claim(self, ref: BlobRef) -> Iterator[bool]:
        self.create(ref, b"")
        with self._lock:
            is_mine = ref not in self._leases
            self._leases.add(ref)
        try:
            yield is_mine
        finally:
            if is_mine:
                self._leases.discard(ref)

    def delete(self, container: Container, prefix: str) -> int:
        found = list(self.list(container, prefix))
        for facts in found:
            self.remove(facts.ref)
        return len(found)

    def remove(self, ref: BlobRef) -> None:
        self._stored.pop(ref, None)

    def set_tier(self, ref: BlobRef, tier: str) -> None:
        stored = self._stored.get(ref)
        if stored is None:
            raise PermanentError(f"Could not move {ref} to tier {tier}: it is not there.")
        # Neither ETag nor time of change depend on the tier.
        self._stored[ref] = _Stored(stored.data, replace(stored.facts, tier=tier.lower()))

    def url(self, ref: BlobRef) -> str:
        return f"https://fake.blob.core.windows.net/{ref.container}/{ref.name}"


class _FakeReader(io.RawIOBase):
    """Reads one version of a blob in blocks."""

    def __init__(self, blobs: FakeBlobs, facts: BlobFacts, changed: type[PipelineError], start: int) -> None:
        self._blobs = blobs
        self._facts = facts
        self._changed = changed
        self._at = start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._facts.size:
            return 0
        now = self._blobs.facts(self._facts.ref)
        if now is None:
            raise PermanentError(f"Could not read {self._facts.ref}: it is not there.")
        if now.etag != self._facts.etag:
            raise self._changed(f"{self._facts.ref} was replaced while it was read.")
        data = self._blobs.read(self._facts.ref)[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _FakeWriter:
    """Collects what becomes a blob."""

    def __init__(self, ref: BlobRef) -> None:
        self._ref = ref
        self.data = bytearray()

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)

    def output(self) -> OutputFile:
        md5 = hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return OutputFile(container=self._ref.container, name=self._ref.name, size=len(self.data), md5=md5)


@dataclass
class FakeTasks:
    """Batch jobs as lists of requests; a test says how a task went by `end`. Implements `ports.TaskRunner`."""

    jobs: dict[str, dict[str, TaskRequest]] = field(default_factory=dict)
    ended: dict[tuple[str, str], TaskReport] = field(default_factory=dict)
    tails: dict[tuple[str, str], str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)

    def submit(self, job_id: str, tasks: Sequence[TaskRequest]) -> None:
        job = self.jobs.setdefault(job_id, {})
        for task in tasks:
            job.setdefault(task.id, task)

    def reports(self, job_id: str) -> Mapping[str, TaskReport]:
        return {
            task: self.ended.get((job_id, task), TaskReport(task, TaskState.RUNNING))
            for task in self.jobs.get(job_id, {})
        }

    def output_tail(self, job_id: str, task_id: str, max_bytes: int = 2000) -> str:
        return self.tails.get((job_id, task_id), "")[-max_bytes:]

    def finish(self, job_id: str, reason: str) -> None:
        self.finished.setdefault(job_id, reason)

    def end(self, job_id: str, task_id: str, exit_code: int, message: str = "", tail: str = "") -> None:
        """Let a task end."""
        state = TaskState.FAILED if exit_code else TaskState.SUCCEEDED
        self.ended[job_id, task_id] = TaskReport(task_id, state, exit_code, message)
        self.tails[job_id, task_id] = tail


@dataclass
class FakeHints:
    """Hints that were sent; implements `ports.HintSender`."""

    sent: list[tuple[Queue, BlobRef]] = field(default_factory=list)

    def send(self, queue: Queue, ref: BlobRef) -> None:
        self.sent.append((queue, ref))


@dataclass
class FakeFhir:
    """Bundles that were posted; implements `ports.FhirServer`."""

    bundles: list[bytes] = field(default_factory=list)
    is_up: bool = True
    refusal: str = ""

    def post_transaction(self, bundle: bytes) -> tuple[str, ...]:
        if not self.is_up:
            raise TransientError("The FHIR service does not answer.")
        if self.refusal:
            raise PermanentError(self.refusal)
        self.bundles.append(bundle)
        entries = json.loads(bundle)["entry"]
        return tuple(f"{entry['resource']['resourceType']}/{number}" for number, entry in enumerate(entries))

    def search(self, query: str) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "self", "url": query}]}

    def is_healthy(self) -> bool:
        return self.is_up


@dataclass
class FakeLake:
    """Tables by name and analysis; implements `ports.Lake`."""

    tables: dict[tuple[str, str], Any] = field(default_factory=dict)

    def replace(self, table: LakeTable, analysis: str) -> int:
        self.tables[table.name, analysis] = table.data
        return int(table.data.num_rows)


@dataclass
class FakePublisher:
    """Notices that were published; implements `ports.Publisher`."""

    notices: list[Notice] = field(default_factory=list)
    is_up: bool = True

    def publish(self, notice: Notice) -> None:
        if not self.is_up:
            raise TransientError("The topic does not answer.")
        self.notices.append(notice)


@dataclass
class World:
    """Fakes of the whole outside world; `services` is what the code under test gets."""

    clock: FakeClock = field(default_factory=FakeClock)
    tasks: FakeTasks = field(default_factory=FakeTasks)
    hints: FakeHints = field(default_factory=FakeHints)
    fhir: FakeFhir = field(default_factory=FakeFhir)
    lake: FakeLake = field(default_factory=FakeLake)
    publisher: FakePublisher = field(default_factory=FakePublisher)
    blobs: FakeBlobs = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = FakeBlobs(self.clock)

    @property
    def services(self) -> Services:
        return make_services(
            blobs=self.blobs,
            tasks=self.tasks,
            hints=self.hints,
            fhir=self.fhir,
            lake=self.lake,
            publisher=self.publisher,
            clock=self.clock,
        )


def make_services(**overrides: Any) -> Services:
    """Services of fakes, each replaceable by name."""
    clock = overrides.pop("clock", None) or FakeClock()
    parts: dict[str, Any] = {
        "blobs": FakeBlobs(clock),
        "tasks": FakeTasks(),
        "hints": FakeHints(),
        "fhir": FakeFhir(),
        "lake": FakeLake(),
        "publisher": FakePublisher(),
        "clock": clock,
        **overrides,
    }
    return Services(**parts)
