"""Drop files as a lab would, and fetch what came out: only storage and HTTP, nothing of the app's inside."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContentSettings

from infra.local.stack import Endpoints
from shared.naming import Container

BLOCK_BYTES = 4 * 1024**2


class Lab:
    """A lab's side of the stack.

    Args:
        endpoints: Of a running stack.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._blobs = BlobServiceClient.from_connection_string(endpoints.connection_string)
        self._http = httpx.Client(timeout=60)
        self._api = endpoints.functions

    def drop(self, folder: str, files: Sequence[Path]) -> None:
        """Upload files into a landing folder, a sample's or a run's, in the given order."""
        for path in files:
            with path.open("rb") as source:
                md5 = hashlib.file_digest(source, "md5").digest()
            with path.open("rb") as source:
                self._blobs.get_blob_client(Container.LANDING, f"{folder}/{path.name}").upload_blob(
                    source, overwrite=True, content_settings=ContentSettings(content_md5=bytearray(md5))
                )

    def drops(self, sample: str) -> dict[str, Any]:
        """What the API says of the sample's drop."""
        answer = self._http.get(f"{self._api}/landing", params={"sample": sample})
        answer.raise_for_status()
        drop: dict[str, Any] = answer.json()["drops"][0]
        return drop

    def analysis(self, analysis: str) -> dict[str, Any] | None:
        """What the API says of an analysis; None when there is no such analysis yet."""
        answer = self._http.get(f"{self._api}/analyses/{analysis}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return status

    def analyses(self) -> list[dict[str, Any]]:
        """All analyses that the API lists."""
        answer = self._http.get(f"{self._api}/analyses")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["analyses"]
        return found

    def marker(self, sample: str, analysis: str, stage: str) -> dict[str, Any]:
        """A marker among the results."""
        name = f"{sample}/{analysis}/{stage}.json"
        data = self._blobs.get_blob_client(Container.RESULTS, name).download_blob().readall()
        marker: dict[str, Any] = json.loads(data)
        return marker

    def fetch_results(self, sample: str, analysis: str, target: Path) -> list[Path]:
        """Copy an analysis's results to a folder; the paths."""
        return self._fetch(Container.RESULTS, f"{sample}/{analysis}/", target)

    def fetch_lake(self, target: Path) -> list[Path]:
        """Copy the lake's tables to a folder, where any Delta reader opens them."""
        return self._fetch(Container.LAKE, "", target)

    def _fetch(self, container: Container, prefix: str, target: Path) -> list[Path]:
        client = self._blobs.get_container_client(container)
        paths = []
        for blob in client.list_blobs(prefix):
            path = target / blob.name.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                client.download_blob(blob.name).readinto(out)
            paths.append(path)
        return paths
