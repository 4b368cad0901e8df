"""The lake as Delta tables in a storage account, through delta-rs.

One table is one folder of the `lake` container. Tables are not partitioned: each analysis adds one file per table and
the file's statistics hold its analysis id, so replacing an analysis reads and rewrites that file only, exactly as a
partition per analysis would; but files of many small analyses can still be compacted and clustered together, which a
partition per analysis would forbid, and readers open tens of large files instead of thousands of tiny ones.

deltalake is imported when the first table is touched, not with this module.
"""

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from shared.errors import PermanentError, TransientError
from shared.naming import Container
from shared.ports import LakeTable

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

STORAGE_SCOPE = "https://storage.azure.com/.default"
"""Token scope of Azure Storage, the same in all clouds."""

AZURITE_URL_VARIABLE = "AZURITE_BLOB_STORAGE_URL"
"""The only place from which delta-rs's storage client takes an emulator's address."""

_AZURITE = "DefaultEndpointsProtocol=http;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
_emulator_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class LakeAddress:
    """Where the lake is, as delta-rs's storage client wants it said.

    Attributes:
        options: Storage options, without a token.
        emulator_url: Scheme, host and port of Azurite; empty in the cloud.
    """

    options: Mapping[str, str]
    emulator_url: str = ""


def parse_connection_string(connection_string: str) -> LakeAddress:
    """The address in an Azure Storage connection string, of a real account or of Azurite on any port.

    Azurite is told by its endpoint, which has the account in its path. It needs the client's emulator mode, because it
    does not know the `startFrom` parameter of List Blobs and would answer with log entries that were not asked for.

    Raises:
        PermanentError: When the account, its key or its endpoint is missing. The text is not repeated: it holds a key.
    """
    text = _AZURITE if connection_string.strip().lower().startswith("usedevelopmentstorage=true") else connection_string
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    endpoint = parts.get("BlobEndpoint") or f"https://{parts.get('AccountName', '')}.blob.{suffix}"
    url = urlsplit(endpoint)
    if url.scheme in {"http", "https"} and url.hostname and url.path.strip("/"):
        options = {
            "azure_storage_use_emulator": "true",
            "azure_storage_account_name": url.path.strip("/"),
            "azure_allow_http": "true",
        }
        if "AccountKey" in parts:
            options["azure_storage_account_key"] = parts["AccountKey"]
        return LakeAddress(options, f"{url.scheme}://{url.netloc}")
    if not parts.get("AccountName") or not parts.get("AccountKey") or not url.hostname:
        raise PermanentError(
            "The connection string of the lake (LAKE_STORAGE) names no AccountName, AccountKey or BlobEndpoint. "
            "Copy it whole from the storage account, or set LAKE_STORAGE__blobServiceUri and use an identity."
        )
    return LakeAddress(
        {
            "azure_storage_account_name": parts["AccountName"],
            "azure_storage_account_key": parts["AccountKey"],
            "azure_storage_endpoint": endpoint.rstrip("/"),
        }
    )


def parse_blob_uri(blob_uri: str) -> LakeAddress:
    """The address of an account's blob endpoint such as ``https://account.blob.core.windows.net/``.

    Raises:
        PermanentError: When it is no such address.
    """
    url = urlsplit(blob_uri)
    if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/"):
        raise PermanentError(
            f"LAKE_STORAGE__blobServiceUri is '{blob_uri}'; a blob endpoint such as "
            "https://account.blob.core.windows.net is needed."
        )
    options = {
        "azure_storage_account_name": url.hostname.partition(".")[0],
        "azure_storage_endpoint": f"{url.scheme}://{url.netloc}",
    }
    if url.scheme == "http":  # a test's server; Azure refuses it
        options["azure_allow_http"] = "true"
    return LakeAddress(options)


class DeltaLake:
    """Delta tables of the `lake` container; implements `ports.Lake`. Threads and processes may share the tables.

    Attributes:
        max_attempts: How often one replacement is tried when others commit to the same rows or files meanwhile.
    """

    max_attempts = 8

    def __init__(
        self,
        address: LakeAddress,
        credential: "TokenCredential | None" = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address
        self._credential = credential
        self._sleep = sleep

    @classmethod
    def connect(
        cls,
        *,
        connection_string: str | None = None,
        blob_uri: str | None = None,
        credential: "TokenCredential | None" = None,
    ) -> Self:
        """The lake of a connection string (local), or of a blob endpoint and a credential (cloud). Asks nothing yet.

        A token of the credential is passed on with each replacement, so the lake signs in as the other adapters do:
        with the managed identity in the cloud, with `az login` on a developer's machine. (delta-rs could ask the
        managed identity itself, but only through variables of the host's environment.)

        Raises:
            PermanentError: When neither or only half of the two is given.
        """
        if connection_string:
            return cls(parse_connection_string(connection_string))
        if blob_uri and credential is not None:
            return cls(parse_blob_uri(blob_uri), credential)
        raise PermanentError(
            "The lake has no address: set LAKE_STORAGE (a connection string) or LAKE_STORAGE__blobServiceUri "
            "(with an identity)."
        )

    def replace(self, table: LakeTable, analysis: str) -> int:
        """Put an analysis's rows in place of those it has in the table, atomically; the table is made when absent.

        Returns how many rows the analysis then has, as read back.

        Raises:
            TransientError: When others kept committing to the same rows or files, or the storage cannot be reached.
            PermanentError: When the table in the lake has columns of other types.
        """
        import deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        assert set(table.data.column("analysis").unique().to_pylist()) <= {analysis}, "rows of another analysis"
        for attempt in range(self.max_attempts):
            if attempt:
                # Others need well under a second for a commit. Random, so that two do not meet again.
                self._sleep(random.uniform(0.1, 0.4) * attempt)  # noqa: S311  # a delay, not a secret
            try:
                delta = self._open_or_create(table)
                _check_types(table, delta)
                deltalake.write_deltalake(
                    delta, table.data, mode="overwrite", predicate=_where(analysis), schema_mode="merge"
                )
                return self._count(table.name, analysis)
            except CommitFailedError:
                continue
            except (DeltaError, OSError) as error:
                raise _unreachable(table.name, error) from error
        raise TransientError(
            f"Rows of analysis {analysis} could not be written to table '{table.name}' of the lake: others committed "
            f"to the same rows or files {self.max_attempts} times meanwhile. It is tried again later."
        )

    def rows(self, table: str, analysis: str) -> list[dict[str, Any]]:
        """The rows of an analysis in a table as dictionaries, in no promised order; none when there is no table.

        Raises:
            TransientError: When the storage cannot be reached.
        """
        return self._query(table, f"SELECT * FROM lake WHERE {_where(analysis)}")  # noqa: S608  # quoted by _where

    def _count(self, table: str, analysis: str) -> int:
        query = f"SELECT count(*) AS rows FROM lake WHERE {_where(analysis)}"  # noqa: S608  # quoted by _where
        return int(self._query(table, query)[0]["rows"])

    def _query(self, table: str, query: str) -> list[dict[str, Any]]:
        # QueryBuilder, because DeltaTable.to_pyarrow_table aborts the interpreter at its exit now and then.
        import pyarrow as pa
        from deltalake import QueryBuilder
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            reader = QueryBuilder().register("lake", self._open(table)).execute(query)
            return [dict(row) for row in pa.table(reader.read_all()).to_pylist()]
        except TableNotFoundError:
            return []
        except (DeltaError, OSError) as error:
            raise _unreachable(table, error) from error

    def _open_or_create(self, table: LakeTable) -> Any:
        import deltalake
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return self._open(table.name)
        except TableNotFoundError:
            pass
        schema = table.data.schema
        try:
            with _emulator(self._address.emulator_url):
                return deltalake.DeltaTable.create(
                    _location(table.name),
                    schema=schema,
                    name=table.name,
                    description=(schema.metadata or {}).get(b"description", b"").decode() or None,
                    storage_options=self._options(),
                )
        except DeltaError:
            # Another writer made it in between; if that was not the reason, opening says what was.
            return self._open(table.name)

    def _open(self, table: str) -> Any:
        import deltalake

        with _emulator(self._address.emulator_url):
            return deltalake.DeltaTable(_location(table), storage_options=self._options())

    def _options(self) -> dict[str, str]:
        options = dict(self._address.options)
        if self._credential is not None:
            options["azure_storage_token"] = self._credential.get_token(STORAGE_SCOPE).token
        return options


def _unreachable(table: str, error: Exception) -> TransientError:
    words = " ".join(re.sub(r"\x1b\[\d*m|↳", "", str(error)).split())  # delta-rs colours its messages
    return TransientError(
        f"Table '{table}' of the lake cannot be read or written: {words}. "
        "It is tried again; if it goes on, check the lake's account and the identity's role on it."
    )


def _check_types(table: LakeTable, delta: Any) -> None:
    """Refuse rows whose columns have other types than the lake's; a column that it lacks is added by the write."""
    import deltalake

    there = {field.name: field.type for field in delta.schema().fields}
    for field in deltalake.Schema.from_arrow(table.data.schema).fields:
        if field.name in there and there[field.name] != field.type:
            raise PermanentError(
                f"Column '{field.name}' of table '{table.name}' has type {_type_name(there[field.name])} in the lake "
                f"and {_type_name(field.type)} "
                "in this version of the program. Delete the table's folder and deliver its analyses again."
            )


def _type_name(delta_type: Any) -> str:
    """The Delta word for a type such as ``integer``."""
    return str(getattr(delta_type, "type", delta_type))


def _location(table: str) -> str:
    """The table's address; the account comes from the options."""
    return f"az://{Container.LAKE}/{table}"


def _where(analysis: str) -> str:
    """The SQL condition for an analysis's rows."""
    return f"analysis = '{analysis.replace(chr(39), chr(39) * 2)}'"


@contextmanager
def _emulator(url: str) -> Iterator[None]:
    """Name the emulator to delta-rs while a table is opened; an opened table remembers it."""
    if not url:
        yield
        return
    with _emulator_lock:
        os.environ[AZURITE_URL_VARIABLE] = url
        yield
