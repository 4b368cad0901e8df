"""The files of a task: listed, described, read in part or whole."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from infra.local.batch_service.book import Book
from infra.local.batch_service.model import Job, Task
from infra.local.batch_service.wire import JsonObject, WireError, http_date, utc_text

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_READ_BYTES = 1 << 16


def root_of(book: Book, job: Job, task: Task) -> Path:
    """Return a task's directory.

    Raises:
        WireError: TaskFilesCleanedup, or FileNotFound for a task that never ran.
    """
    if task.files_removed:
        raise WireError("TaskFilesCleanedup")
    root = book.task_root(job, task)
    if root is None or not root.is_dir():
        raise WireError("FileNotFound")
    return root


def locate(root: Path, path: str) -> Path:
    """Return a file below a task's directory.

    Raises:
        WireError: FileNotFound, also for a path (or link) that leads out of the directory.
    """
    target = Path(os.path.realpath(root / path))
    if not target.is_relative_to(os.path.realpath(root)) or not target.exists():
        raise WireError("FileNotFound", FilePath=path)
    return target


def listing(root: Path, url: str, *, recursive: bool) -> Iterator[JsonObject]:
    """Yield the files below a task's directory, sorted by name.

    Args:
        root: The task's directory.
        url: URL of the task's files.
        recursive: Go into directories.
    """
    found = root.rglob("*") if recursive else root.glob("*")
    for path in sorted(found):
        name = path.relative_to(root).as_posix()
        document: JsonObject = {
            "name": name,
            "url": f"{url}/{quote(name)}",
            "isDirectory": path.is_dir(),
        }
        if not path.is_dir():
            try:
                stat = path.stat()
            except FileNotFoundError:  # the task removed it meanwhile
                continue
            document["properties"] = {
                "lastModified": utc_text(datetime.fromtimestamp(stat.st_mtime, UTC)),
                "creationTime": utc_text(datetime.fromtimestamp(stat.st_ctime, UTC)),
                "contentLength": str(stat.st_size),
                "contentType": _content_type(path),
                "fileMode": f"0o{stat.st_mode:o}",
            }
        yield document


def headers(path: Path, url: str) -> dict[str, str]:
    """Return the headers that describe a file."""
    stat = path.stat()
    return {
        "Content-Type": _content_type(path),
        "Last-Modified": http_date(datetime.fromtimestamp(stat.st_mtime, UTC)),
        "ocp-creation-time": http_date(datetime.fromtimestamp(stat.st_ctime, UTC)),
        "ocp-batch-file-isdirectory": "true" if path.is_dir() else "false",
        "ocp-batch-file-url": url,
        "ocp-batch-file-mode": f"0o{stat.st_mode:o}",
    }


def byte_range(text: str | None, size: int) -> tuple[int, int]:
    """Return the part of a file that an `ocp-range` header asks for, 0-based half-open in bytes.

    Raises:
        WireError: InvalidHeaderValue or InvalidRange.
    """
    if text is None:
        return 0, size
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise WireError("InvalidHeaderValue", HeaderName="ocp-range", HeaderValue=text)
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if start >= end:
        raise WireError("InvalidRange", FileSize=str(size))
    return start, end


def read(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Yield a part of a file; it stops early when the file was cut meanwhile."""
    with path.open("rb") as source:
        source.seek(start)
        left = end - start
        while left and (block := source.read(min(left, _READ_BYTES))):
            left -= len(block)
            yield block


def _content_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"
