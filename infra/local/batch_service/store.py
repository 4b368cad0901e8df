"""The service's memory on disk: one sqlite file with one JSON document per resource."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from infra.local.batch_service.wire import JsonObject
from shared.errors import PermanentError

Kind = Literal["pool", "job", "task"]
Change = tuple[Kind, str, JsonObject | None]
"""What changed: kind, key, and the document, or None when it is gone."""

_SCHEMA_VERSION = 1


class Store:
    """Keeps documents by kind and key; the caller serialises access.

    Args:
        path: The sqlite file; created when absent.

    Raises:
        PermanentError: Another service uses the file, or it was written by another version of this one.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0)
        try:
            self._open(path)
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise PermanentError(
                f"Batch state {path} cannot be opened ({error}). Another Batch service may be using the folder; "
                f"stop it or choose another one."
            ) from error
        except PermanentError:
            self._connection.close()
            raise

    def _open(self, path: Path) -> None:
        # Two services on one folder would run every task twice: the first one keeps the file to itself.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # A killed service loses nothing this way; only a machine that loses power may lose the last moments,
        # and its tasks with them. That buys writes of some microseconds.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, _SCHEMA_VERSION}:
            raise PermanentError(
                f"Batch state {path} has format {version}, this service reads {_SCHEMA_VERSION}. "
                f"Remove the folder {path.parent} to start anew."
            )
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS resource (kind TEXT, key TEXT, document TEXT, PRIMARY KEY (kind, key))"
            " WITHOUT ROWID"
        )
        self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def write(self, changes: Iterable[Change]) -> None:
        """Write changes, all or none."""
        self._connection.execute("BEGIN")
        try:
            for kind, key, document in changes:
                if document is None:
                    self._connection.execute("DELETE FROM resource WHERE kind = ? AND key = ?", (kind, key))
                else:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)",
                        (kind, key, json.dumps(document, separators=(",", ":"))),
                    )
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def read(self, kind: Kind) -> Iterator[JsonObject]:
        """Yield all documents of a kind."""
        for (text,) in self._connection.execute("SELECT document FROM resource WHERE kind = ?", (kind,)):
            yield json.loads(text)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
