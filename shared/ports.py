"""What the core needs of the outside world, in the core's words. Adapters implement these protocols.

Every method may raise `TransientError` (try later) and `PermanentError` (useless to try again).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from shared.domain.markers import OutputFile
from shared.naming import BlobRef, Container, Queue


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What the storage knows of a blob.

    Attributes:
        etag: Without quotes.
        md5: Content-MD5 as hex; empty when the uploader set none.
        modified: Last change, UTC.
        tier: Access tier in lower case (`hot`, `cool`, `cold`, `archive`); empty when unknown.
    """

    ref: BlobRef
    size: int
    etag: str
    md5: str
    modified: datetime
    tier: str = ""

    @property
    def content(self) -> str:
        """What identifies the bytes: the MD5 where there is one, else the ETag."""
        return f"md5:{self.md5}" if self.md5 else f"etag:{self.etag}"


class BlobStore(Protocol):
    """Blobs of the data account and of the lake."""

    def list(self, container: Container, prefix: str) -> Iterator[BlobFacts]:
        """All blobs whose names start with `prefix`, in order of name."""
        ...

    def folders(self, container: Container, prefix: str) -> Iterator[str]:
        """The folders directly below `prefix` (with the prefix and a final slash), in order of name."""
        ...

    def facts(self, ref: BlobRef) -> BlobFacts | None:
        """Facts of a blob; None when it is not there."""
        ...

    def read(self, ref: BlobRef) -> bytes:
        """The whole of a small blob.

        Raises:
            PermanentError: When it is not there.
        """
        ...

    def find(self, ref: BlobRef) -> bytes | None:
        """The whole of a small blob; None when it is not there."""
        ...

    def open(self, ref: BlobRef, content: str | None = None, start: int = 0) -> BinaryIO:
        """A stream over a blob of any size; memory stays flat.

        Args:
            start: Byte to begin with, 0-based; at or behind the blob's end the stream is empty.
            content: As `BlobFacts.content`; when given and the blob has changed, opening or reading raises
                PermanentError, so that no half-old, half-new file is read. When left out, a change while it is read
                raises TransientError: reading it again from the start may go well.
        """
        ...

    def head(self, ref: BlobRef, size: int, content: str) -> bytes:
        """The first bytes of a blob, at most `size`, in one request.

        Args:
            content: As `BlobFacts.content`.

        Raises:
            TransientError: When the blob is another one by now, or gone: what was listed is no longer so.
        """
        ...

    def create(self, ref: BlobRef, data: bytes) -> bool:
        """Write a small blob if it is not there yet; whether this call made it."""
        ...

    def writer(self, ref: BlobRef) -> AbstractContextManager["BlobWriter"]:
        """A stream that becomes the blob, whole, when the block ends well; nothing appears when it raises."""
        ...

    def upload(self, ref: BlobRef, path: Path) -> OutputFile:
        """Upload a file, whole or not at all."""
        ...

    def download(self, output: OutputFile, path: Path) -> None:
        """Fetch a blob into a file and check size and MD5.

        Raises:
            TransientError: When the bytes do not fit what the marker said (a torn read); tried again by the caller.
        """
        ...

    def claim(self, ref: BlobRef) -> AbstractContextManager[bool]:
        """Lease a (created) blob while the block runs; yields False when another holds it."""
        ...

    def delete(self, container: Container, prefix: str) -> int:
        """Delete all blobs below a prefix; how many."""
        ...

    def remove(self, ref: BlobRef) -> None:
        """Delete one blob; success when it is not there."""
        ...

    def set_tier(self, ref: BlobRef, tier: str) -> None:
        """Move a blob to an access tier (`Cool`, `Cold`, `Archive`)."""
        ...

    def url(self, ref: BlobRef) -> str:
        """The blob's address, without any credential."""
        ...


class BlobWriter(Protocol):
    """A stream into a blob."""

    def write(self, data: bytes, /) -> int:
        """Append bytes."""
        ...

    def output(self) -> OutputFile:
        """What was written; valid once the block has ended."""
        ...


@unique
class TaskState(StrEnum):
    """Where a Batch task is."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A task to run.

    Attributes:
        id: Task id, unique in its job.
        command: Argument vector; no shell reads it.
        slots: Task slots of a node that it takes.
        max_retries: How often Batch starts it again by itself after a non-zero exit.
        max_seconds: Wall-clock limit of one run, s.
    """

    id: str
    command: Sequence[str]
    slots: int = 1
    max_retries: int = 1
    max_seconds: int = 6 * 3600


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What Batch says of a task.

    Attributes:
        exit_code: None while it runs and when it could not be started.
        message: Why it failed, in Batch's words; empty otherwise.
        retries: How often Batch started it again.
    """

    id: str
    state: TaskState
    exit_code: int | None = None
    message: str = ""
    retries: int = 0


class TaskRunner(Protocol):
    """Azure Batch, as far as the chain needs it."""

    def submit(self, job_id: str, tasks: Sequence[TaskRequest]) -> None:
        """Add tasks to a job, which is made when absent; a task that exists is success."""
        ...

    def reports(self, job_id: str) -> Mapping[str, TaskReport]:
        """Reports of all tasks of a job by task id; empty when there is no such job."""
        ...

    def output_tail(self, job_id: str, task_id: str, max_bytes: int = 2000) -> str:
        """The end of a task's stderr; empty when there is none."""
        ...

    def finish(self, job_id: str, reason: str) -> None:
        """End a job and its tasks; success when it has ended or was never made."""
        ...


class HintSender(Protocol):
    """Sends a hint to a function's queue, as an event would."""

    def send(self, queue: Queue, ref: BlobRef) -> None:
        """Say that a blob is there."""
        ...


class FhirServer(Protocol):
    """The EHR's FHIR R4 service."""

    def post_transaction(self, bundle: bytes) -> tuple[str, ...]:
        """Post a transaction bundle, all or nothing; references of the stored resources, `Type/id`, in order.

        Raises:
            PermanentError: When the server refuses the bundle, with its reasons.
        """
        ...

    def search(self, query: str) -> dict[str, Any]:
        """Run a search such as ``DiagnosticReport?subject=Patient/1``; the searchset bundle."""
        ...

    def is_healthy(self) -> bool:
        """Whether the service answers."""
        ...


@dataclass(frozen=True, slots=True)
class LakeTable:
    """Rows of one analysis for one table; columns by name, in a fixed order, with Arrow types."""

    name: str
    data: Any
    """A `pyarrow.Table`."""


class Lake(Protocol):
    """Delta tables."""

    def replace(self, table: LakeTable, analysis: str) -> int:
        """Put an analysis's rows in place of those it has in the table, atomically; rows of others stay.

        Returns how many rows the analysis then has, as read back.
        """
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """An event for subscribers: an analysis completed or failed. It holds no patient data."""

    id: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


class Publisher(Protocol):
    """Publishes notices to the custom topic."""

    def publish(self, notice: Notice) -> None:
        """Publish; a subscriber may see it more than once, with the same id."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The outside world, as both apps get it from their bootstrap.

    Attributes:
        clock: The time, UTC; a parameter so that tests own it.
    """

    blobs: BlobStore
    tasks: TaskRunner
    hints: HintSender
    fhir: FhirServer
    lake: Lake
    publisher: Publisher
    clock: Callable[[], datetime]
