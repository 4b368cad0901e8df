"""Azurite's access log as the source of new blobs, and the place up to which it has been dealt with."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from shared.errors import PermanentError

_LINE = re.compile(r'"PUT (?P<target>/\S*) HTTP/[0-9.]+" (?P<status>\d{3}) ')
_CREATED = {201: "PutBlob", 202: "CopyBlob"}  # an asynchronous copy is accepted (202), a write creates (201)
_READ_BYTES = 1 << 20
_FINGERPRINT_BYTES = 256  # of the log's beginning; its first line holds the time the log was begun


@dataclass(frozen=True, slots=True)
class WrittenBlob:
    """A blob that a successful request wrote.

    Attributes:
        container: Container name.
        name: Blob name, not percent-encoded.
        api: PutBlob, PutBlockList or CopyBlob.
    """

    container: str
    name: str
    api: str


def written_blob(line: str, account_path: str) -> WrittenBlob | None:
    """The blob that the request of an access-log line wrote; None for every other line.

    Containers, blocks, leases, metadata, tiers, tags, properties, snapshots, pages and appended blocks write
    no new blob. (A synchronous Put Blob From URL or copy also answers 201 or 202 without `comp`.)

    Args:
        line: One line, in Apache's common log format.
        account_path: What comes before the container in the path: ``/devstoreaccount1`` for Azurite, or
        empty.
    """
    match = _LINE.search(line)
    if match is None:
        return None
    target = urlsplit(match["target"])
    query = parse_qs(target.query, keep_blank_values=True)
    operation = query.get("comp", [""])[0].casefold()
    status = int(match["status"])
    if "restype" in query:
        return None
    if operation == "blocklist" and status == 201:
        api = "PutBlockList"
    elif operation == "" and status in _CREATED:
        api = _CREATED[status]
    else:
        return None
    if not target.path.startswith(account_path + "/"):
        return None
    container, _, name = target.path[len(account_path) + 1 :].partition("/")
    if not container or not name:
        return None
    return WrittenBlob(unquote(container), unquote(name), api)


@dataclass(frozen=True, slots=True)
class LogLine:
    """A complete line and the offsets of its first byte and of the byte after it."""

    text: str
    start: int
    end: int


class LogTail:
    """Reads the complete lines that are appended to a file; a replaced or shortened file is read from its start.

    Args:
        path: The file; it may not exist yet.
        offset: Where to begin, in bytes.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self.offset = offset
        self._rest = b""
        self._inode: int | None = None

    def new_lines(self) -> Iterator[LogLine]:
        """The lines completed since the last call; an unfinished last line waits for its end."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            status = os.fstat(file.fileno())
            if status.st_size < self.offset or self._inode not in {None, status.st_ino}:
                self.offset, self._rest = 0, b""
            self._inode = status.st_ino
            file.seek(self.offset)
            while block := file.read(_READ_BYTES):
                self.offset += len(block)
                *lines, rest = (self._rest + block).split(b"\n")
                start = self.offset - len(self._rest) - len(block)
                self._rest = rest
                for line in lines:
                    end = start + len(line) + 1
                    yield LogLine(line.decode("utf-8", errors="replace"), start, end)
                    start = end

    @property
    def complete_offset(self) -> int:
        """The offset after the last complete line that was read."""
        return self.offset - len(self._rest)


class Bookmark:
    """The offset up to which a log has been dealt with, kept in a small file that is replaced whole.

    The bookmark also remembers how the log began: an offset into another log means nothing, so a new log is
    read from its start.

    Args:
        folder: Where the file lies; made when missing.
        log_path: The log.
    """

    def __init__(self, folder: Path, log_path: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "relay-offset.json"
        self._log_path = log_path
        self._saved: int | None = None

    def load(self) -> int:
        """The saved offset; 0 when there is none for this log.

        Raises:
            PermanentError: The file is there but not readable as a bookmark.
        """
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            offset, length, digest = int(stored["offset"]), int(stored["begin_bytes"]), str(stored["begin_sha256"])
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(
                f"{self._path} is no bookmark of the event relay: {error!r}. Delete it: the relay then sends "
                "the events of the whole log again, which does no harm."
            ) from error
        return offset if self._digest(length) == digest else 0

    def save(self, offset: int) -> None:
        """Remember an offset."""
        if offset == self._saved:  # this is called at every look at the log, and most looks find nothing new
            return
        length = min(offset, _FINGERPRINT_BYTES)
        digest = self._digest(length)
        draft = self._path.with_suffix(".new")
        draft.write_text(
            json.dumps({"offset": offset, "begin_bytes": length, "begin_sha256": digest}), encoding="utf-8"
        )
        draft.replace(self._path)
        self._saved = offset

    def _digest(self, length: int) -> str:
        try:
            with self._log_path.open("rb") as file:
                return hashlib.sha256(file.read(length)).hexdigest()
        except FileNotFoundError:
            return ""
