"""Resource files: fetched before a task starts, with Batch's failure codes when that fails."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from infra.local.batch_service.outcome import failure_info
from infra.local.batch_service.wire import JsonObject

_TIMEOUT_SECONDS = 60.0  # of one read, not of the file
_COPY_BYTES = 1 << 20
_BY_STATUS = {
    404: ("BlobNotFound", "The specified blob does not exist"),
    401: ("BlobAccessDenied", "Access for one of the specified blobs is denied"),
    403: ("BlobAccessDenied", "Access for one of the specified blobs is denied"),
}
_OTHER = ("BlobDownloadMiscError", "An unexpected error occurred while downloading one of the specified blobs")
_TIMED_OUT = ("BlobDownloadTimedOut", "Downloading one of the specified blobs timed out")


class DownloadError(Exception):
    """A resource file could not be had.

    Attributes:
        failure: `failureInfo` of the task that needs it.
    """

    def __init__(self, kind: tuple[str, str], url: str, reason: str) -> None:
        code, message = kind
        # Only the path of the URL: the query of a SAS URL is a secret.
        self.failure: JsonObject = failure_info(code, message, BlobUrl=url.partition("?")[0], Reason=reason)
        super().__init__(message)


def download(url: str, target: Path, mode: str | None, is_over: Callable[[], bool]) -> None:
    """Fetch a file over HTTP.

    Args:
        url: What to fetch.
        target: Where to put it; directories are made.
        mode: Octal file mode, None for 0770 as in Batch.
        is_over: Asked between blocks; when true, the rest is left out.

    Raises:
        DownloadError: With the failure for the task.
        OSError: The file could not be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as source:
                while not is_over() and (block := source.read(_COPY_BYTES)):
                    sink.write(block)
        except urllib.error.HTTPError as error:
            with error:
                raise DownloadError(_BY_STATUS.get(error.code, _OTHER), url, f"HTTP {error.code}") from error
        except TimeoutError as error:
            raise DownloadError(_TIMED_OUT, url, "TimeoutError") from error
        except urllib.error.URLError as error:
            late = isinstance(error.reason, TimeoutError)
            raise DownloadError(_TIMED_OUT if late else _OTHER, url, type(error.reason).__name__) from error
        except (ConnectionError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(_OTHER, url, type(error).__name__) from error
    target.chmod(int(mode or "0770", 8))
