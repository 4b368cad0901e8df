"""Blobs of the data account, through azure-storage-blob."""

import hashlib
import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobLeaseClient,
    BlobProperties,
    BlobServiceClient,
    ContentSettings,
)

from shared.adapters.storage_errors import translated
from shared.domain.markers import OutputFile
from shared.errors import PermanentError, PipelineError, TransientError
from shared.naming import BlobRef, Container
from shared.ports import BlobFacts

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

BLOCK_BYTES = 8 * 1024**2
"""Bytes per block and per read: large enough to keep a connection busy, small enough that a function that reads two
files and writes one stays far below its memory limit. 50,000 such blocks make 390 GiB."""

LEASE_SECONDS = 60
"""The longest finite lease. A dead holder's claim is free again after it."""

_CONTENT_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".gz": "application/gzip",
}


class AzureBlobs:
    """The blobs of one storage account; implements `ports.BlobStore`."""

    def __init__(self, service: BlobServiceClient) -> None:
        self._service = service

    @classmethod
    def connect(
        cls,
        connection_string: str | None = None,
        blob_uri: str | None = None,
        credential: "TokenCredential | None" = None,
    ) -> Self:
        """Connect by connection string (local) or by endpoint and identity (cloud)."""
        # One GET per block: the SDK would otherwise read the first 32 MiB into memory at once.
        sizes = {"max_single_get_size": BLOCK_BYTES, "max_chunk_get_size": BLOCK_BYTES}
        if connection_string:
            return cls(BlobServiceClient.from_connection_string(connection_string, **cast("Any", sizes)))
        if not blob_uri:
            raise PermanentError("No blob endpoint: set a connection string or NAME__blobServiceUri.")
        return cls(BlobServiceClient(blob_uri, credential=credential, **cast("Any", sizes)))

    def _client(self, ref: BlobRef) -> BlobClient:
        return self._service.get_blob_client(ref.container, ref.name)

    def list(self, container: Container, prefix: str) -> Iterator[BlobFacts]:
        """All blobs whose names start with `prefix`, in order of name."""
        with translated(f"list {container}/{prefix}"):
            for properties in self._service.get_container_client(container).list_blobs(prefix):
                yield _facts(BlobRef(container, properties.name), properties)

    def folders(self, container: Container, prefix: str) -> Iterator[str]:
        """The folders directly below `prefix`, in order of name."""
        with translated(f"list folders of {container}/{prefix}"):
            for item in self._service.get_container_client(container).walk_blobs(prefix, delimiter="/"):
                if item.name.endswith("/"):
                    yield item.name

    def facts(self, ref: BlobRef) -> BlobFacts | None:
        """Facts of a blob; None when it is not there."""
        with translated(f"look at {ref}"):
            try:
                return _facts(ref, self._client(ref).get_blob_properties())
            except ResourceNotFoundError:
                return None

    def read(self, ref: BlobRef) -> bytes:
        """The whole of a small blob."""
        with translated(f"read {ref}"):
            return self._client(ref).download_blob().readall()

    def find(self, ref: BlobRef) -> bytes | None:
        """The whole of a small blob; None when it is not there."""
        with translated(f"read {ref}"):
            try:
                return self._client(ref).download_blob().readall()
            except ResourceNotFoundError:
                return None

    def open(self, ref: BlobRef, content: str | None = None, start: int = 0) -> BinaryIO:
        """A stream over a blob of any size, from byte `start` on; it fails rather than mix two versions of the blob."""
        facts = self.facts(ref)
        if facts is None:
            raise PermanentError(f"{ref} is not there any more. Upload it again.")
        if content is not None and facts.content != content:
            raise PermanentError(
                f"{ref} was replaced after the analysis was planned. The new file makes an analysis of its own."
            )
        # An input that changes is another analysis's; an intermediate blob that changes was written again by a second
        # run of the same work, with the same bytes: reading it again is enough.
        replaced = TransientError if content is None else PermanentError
        return io.BufferedReader(cast("Any", _BlobReader(self._client(ref), ref, facts, replaced, start)), BLOCK_BYTES)

    def head(self, ref: BlobRef, size: int, content: str) -> bytes:
        """The first bytes of a blob, if it is still the one that was listed."""
        with translated(f"read the beginning of {ref}"):
            facts = self.facts(ref)
            if facts is None or facts.content != content:
                raise TransientError(f"{ref} has changed since its folder was listed. It is looked at again.")
            if facts.size == 0:
                return b""  # a range of an empty blob is an error to the service
            try:
                return (
                    self._client(ref)
                    .download_blob(
                        0, min(size, facts.size), etag=facts.etag, match_condition=MatchConditions.IfNotModified
                    )
                    .readall()
                )
            except (ResourceModifiedError, ResourceNotFoundError) as error:
                raise TransientError(f"{ref} was replaced while it was read. It is looked at again.") from error

    def create(self, ref: BlobRef, data: bytes) -> bool:
        """Write a small blob if it is not there yet; whether this call made it."""
        with translated(f"create {ref}"):
            try:
                self._client(ref).upload_blob(
                    data,
                    overwrite=False,
                    content_settings=_content_settings(ref.name, hashlib.md5(data, usedforsecurity=False).digest()),
                )
            except ResourceExistsError:
                return False
            except HttpResponseError as error:
                if error.status_code == 412:  # there, and leased by somebody else: the service may say so first
                    return False
                raise
        return True

    @contextmanager
    def writer(self, ref: BlobRef) -> Iterator["_BlockWriter"]:
        """A stream that becomes the blob, whole, when the block ends well."""
        stream = _BlockWriter(self._client(ref), ref)
        yield stream
        stream.commit()

    def upload(self, ref: BlobRef, path: Path) -> OutputFile:
        """Upload a file, whole or not at all."""
        with self.writer(ref) as stream, path.open("rb") as source:
            while data := source.read(BLOCK_BYTES):
                stream.write(data)
        return stream.output()

    def download(self, output: OutputFile, path: Path) -> None:
        """Fetch a blob into a file and check size and MD5."""
        ref = BlobRef(Container(output.container), output.name)
        md5 = hashlib.md5(usedforsecurity=False)
        size = 0
        with self.open(ref) as source, path.open("wb") as target:
            while data := source.read(BLOCK_BYTES):
                md5.update(data)
                size += len(data)
                target.write(data)
        if size != output.size or md5.hexdigest() != output.md5:
            raise TransientError(
                f"{ref} has {size:,} bytes with MD5 {md5.hexdigest()}; its marker says {output.size:,} bytes with "
                f"{output.md5}. It was read while being written, or damaged."
            )

    @contextmanager
    def claim(self, ref: BlobRef) -> Iterator[bool]:
        """Lease a blob while the block runs; yields False when another holds it."""
        self.create(ref, b"")
        lease = self._try_lease(ref)
        if lease is None:
            yield False
            return
        done = threading.Event()

        def keep() -> None:
            # A lost lease is not fatal: it only means that the work may be done twice, which is harmless.
            while not done.wait(LEASE_SECONDS / 3):
                try:
                    lease.renew()
                except AzureError:
                    return

        keeper = threading.Thread(target=keep, name=f"claim {ref.name}", daemon=True)
        keeper.start()
        try:
            yield True
        finally:
            done.set()
            keeper.join()
            with suppress(AzureError):  # it runs out by itself
                lease.release()

    def _try_lease(self, ref: BlobRef) -> BlobLeaseClient | None:
        with translated(f"claim {ref}"):
            try:
                return self._client(ref).acquire_lease(LEASE_SECONDS)
            except HttpResponseError as error:
                if error.status_code == 409:
                    return None
                raise

    def delete(self, container: Container, prefix: str) -> int:
        """Delete all blobs below a prefix; how many."""
        count = 0
        for facts in list(self.list(container, prefix)):
            self.remove(facts.ref)
            count += 1
        return count

    def remove(self, ref: BlobRef) -> None:
        """Delete one blob; success when it is not there."""
        with translated(f"delete {ref}"):
            try:
                self._client(ref).delete_blob()
            except ResourceNotFoundError:
                return

    def set_tier(self, ref: BlobRef, tier: str) -> None:
        """Move a blob to an access tier."""
        with translated(f"move {ref} to tier {tier}"):
            self._client(ref).set_standard_blob_tier(tier)

    def url(self, ref: BlobRef) -> str:
        """The blob's address, without any credential."""
        return str(self._client(ref).url).partition("?")[0]


def _facts(ref: BlobRef, properties: BlobProperties) -> BlobFacts:
    md5 = properties.content_settings.content_md5 if properties.content_settings else None
    return BlobFacts(
        ref=ref,
        size=properties.size,
        etag=str(properties.etag).strip('"'),
        md5=bytes(md5).hex() if md5 else "",
        modified=properties.last_modified.astimezone(UTC),
        tier=str(properties.blob_tier or "").rpartition(".")[2].lower(),
    )


def _content_settings(name: str, md5: bytes) -> ContentSettings:
    content_type = _CONTENT_TYPES.get(Path(name).suffix, "application/octet-stream")
    return ContentSettings(content_type=content_type, content_md5=bytearray(md5))


class _BlobReader(io.RawIOBase):
    """Reads a blob of one version from a byte on, in blocks."""

    def __init__(
        self, client: BlobClient, ref: BlobRef, facts: BlobFacts, replaced: type[PipelineError], start: int
    ) -> None:
        self._client = client
        self._ref = ref
        self._facts = facts
        self._replaced = replaced
        self._at = min(start, facts.size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._facts.size - self._at)
        if wanted == 0:
            return 0
        with translated(f"read {self._ref} at byte {self._at:,}"):
            try:
                data = self._client.download_blob(
                    self._at,
                    wanted,
                    etag=self._facts.etag,
                    match_condition=MatchConditions.IfNotModified,
                    max_concurrency=1,
                ).readall()
            except ResourceModifiedError as error:
                advice = (
                    "The new file makes an analysis of its own."
                    if self._replaced is PermanentError
                    else "It is read again."
                )
                raise self._replaced(f"{self._ref} was replaced while it was read. {advice}") from error
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        # The inherited one asks for 8 KiB at a time: a request each.
        rest = bytearray(self._facts.size - self._at)
        view = memoryview(rest)
        done = 0
        while read := self.readinto(view[done : done + BLOCK_BYTES]):
            done += read
        return bytes(rest)


class _BlockWriter:
    """Stages blocks; the blob appears with its MD5 only when `commit` is called."""

    def __init__(self, client: BlobClient, ref: BlobRef) -> None:
        self._client = client
        self._ref = ref
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._pending = bytearray()
        self._blocks: list[BlobBlock] = []

    def write(self, data: bytes, /) -> int:
        self._md5.update(data)
        self._size += len(data)
        self._pending += data
        while len(self._pending) >= BLOCK_BYTES:
            self._stage(bytes(self._pending[:BLOCK_BYTES]))
            del self._pending[:BLOCK_BYTES]
        return len(data)

    def _stage(self, data: bytes) -> None:
        # Random ids: two writers of the same blob must not mix their blocks; the last commit wins whole.
        block = BlobBlock(uuid.uuid4().hex)
        with translated(f"write {self._ref}"):
            self._client.stage_block(block.id, data)
        self._blocks.append(block)

    def commit(self) -> None:
        settings = _content_settings(self._ref.name, self._md5.digest())
        with translated(f"write {self._ref}"):
            if not self._blocks:
                self._client.upload_blob(bytes(self._pending), overwrite=True, content_settings=settings)
                return
            if self._pending:
                self._stage(bytes(self._pending))
            try:
                self._client.commit_block_list(self._blocks, content_settings=settings)
            except HttpResponseError as error:
                if getattr(error, "error_code", None) == "InvalidBlockList":
                    raise TransientError(f"Could not write {self._ref}: another writer committed first.") from error
                raise

    def output(self) -> OutputFile:
        return OutputFile(
            container=self._ref.container, name=self._ref.name, size=self._size, md5=self._md5.hexdigest()
        )
