"""The lake against Azurite: what is written is what is read, whoever writes at the same time."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.adapters.delta import DeltaLake, parse_connection_string
from shared.errors import PermanentError, TransientError
from shared.lake.schema import QC, VARIANTS, arrow_schema
from shared.naming import Container
from shared.ports import LakeTable
from tests.contract.node_fixtures import Azurite

pytestmark = pytest.mark.contract
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lake(azurite: Azurite) -> DeltaLake:
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient.from_connection_string(azurite.connection_string)
    with client, suppress(ResourceExistsError):
        client.create_container(Container.LAKE)
    return DeltaLake.connect(connection_string=azurite.connection_string)


@pytest.fixture
def table() -> str:
    """A table name of the test's own, so that the tests share a lake and nothing else."""
    return f"qc-{uuid4().hex}"


def metrics(table: str, analysis: str, *values: float) -> LakeTable:
    import pyarrow as pa

    columns = {
        "analysis": [analysis] * len(values),
        "sample": ["NA00001"] * len(values),
        "metric": [f"m{number}" for number in range(len(values))],
        "value": list(values),
        "unit": ["1"] * len(values),
    }
    return LakeTable(table, pa.table(columns, schema=arrow_schema(QC)))


def values(lake: DeltaLake, table: str, analysis: str) -> list[float]:
    return [row["value"] for row in sorted(lake.rows(table, analysis), key=lambda row: row["metric"])]


def test_a_table_is_made_when_the_first_rows_come(lake: DeltaLake, table: str) -> None:
    assert lake.rows(table, "a") == []
    assert lake.replace(metrics(table, "a", 1, 2, 3), "a") == 3
    assert values(lake, table, "a") == [1, 2, 3]


def test_rows_take_the_place_of_those_that_were_there(lake: DeltaLake, table: str) -> None:
    lake.replace(metrics(table, "a", 1, 2, 3), "a")
    assert lake.replace(metrics(table, "a", 7, 8), "a") == 2
    assert values(lake, table, "a") == [7, 8]


def test_the_same_rows_twice_are_the_same_table(lake: DeltaLake, table: str) -> None:
    lake.replace(metrics(table, "a", 1, 2), "a")
    once = lake.rows(table, "a")
    assert lake.replace(metrics(table, "a", 1, 2), "a") == 2
    assert lake.rows(table, "a") == once


def test_rows_of_other_analyses_stay(lake: DeltaLake, table: str) -> None:
    lake.replace(metrics(table, "a", 1), "a")
    lake.replace(metrics(table, "b", 2, 2), "b")
    assert lake.replace(metrics(table, "a", 3, 3, 3), "a") == 3
    assert values(lake, table, "a") == [3, 3, 3]
    assert values(lake, table, "b") == [2, 2]


def test_no_rows_remove_what_the_analysis_had(lake: DeltaLake, table: str) -> None:
    lake.replace(metrics(table, "a", 1, 2), "a")
    lake.replace(metrics(table, "b", 5), "b")
    assert lake.replace(metrics(table, "a"), "a") == 0
    assert lake.rows(table, "a") == []
    assert values(lake, table, "b") == [5]


def test_no_rows_for_a_table_that_is_not_there_make_an_empty_table(lake: DeltaLake, table: str) -> None:
    assert lake.replace(metrics(table, "a"), "a") == 0
    assert lake.replace(metrics(table, "b", 1), "b") == 1


def test_every_type_and_null_comes_back_as_it_was_written(lake: DeltaLake) -> None:
    import pyarrow as pa

    table = f"variants-{uuid4().hex}"
    row: dict[str, Any] = dict.fromkeys((column.name for column in VARIANTS.columns), None)
    row |= {"analysis": "it's", "sample": "Ünïcode", "contig": "1", "pos": 2**31 - 1, "ref": "A", "alt": "T" * 5000}
    row |= {"filter": "PASS", "qual": 1 / 3, "zygosity": "homozygous", "dp": 0, "ad": 0, "af": 1.0}
    other = row | {"pos": 1, "gq": 99, "clinvar_conditions": "One; Two"}
    data = pa.Table.from_pylist([other, row], schema=arrow_schema(VARIANTS))
    assert lake.replace(LakeTable(table, data), "it's") == 2
    assert sorted(lake.rows(table, "it's"), key=lambda found: found["pos"]) == [other, row]


def test_four_analyses_written_at_once_are_all_there(lake: DeltaLake, table: str) -> None:
    names = ["a", "b", "c", "d"]
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda name: lake.replace(metrics(table, name, 1, 2), name), names))
    assert counts == [2, 2, 2, 2]
    assert all(values(lake, table, name) == [1, 2] for name in names)


def test_one_analysis_written_four_times_at_once_is_there_once(lake: DeltaLake, table: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda number: lake.replace(metrics(table, "a", number, number), "a"), range(4)))
    assert counts == [2, 2, 2, 2]
    first, second = values(lake, table, "a")
    assert first == second, "the rows of one writer, not a mixture"


def test_writers_that_always_lose_give_up_after_a_bounded_number_of_tries(
    azurite: Azurite, lake: DeltaLake, table: str
) -> None:
    lake.replace(metrics(table, "a", 0), "a")
    pauses: list[float] = []
    loser = _Interrupted(lake, table, azurite.connection_string, pauses)
    with pytest.raises(TransientError, match=rf"others committed to the same rows or files {loser.max_attempts} times"):
        loser.replace(metrics(table, "a", -1), "a")
    assert len(pauses) == loser.max_attempts - 1
    assert values(lake, table, "a") == [loser.max_attempts]


class _Interrupted(DeltaLake):
    """A lake in which another writer replaces the same rows between opening a table and committing to it."""

    def __init__(self, other: DeltaLake, table: str, connection_string: str, pauses: list[float]) -> None:
        super().__init__(parse_connection_string(connection_string), sleep=pauses.append)
        self._other, self._table, self._tries = other, table, 0

    def _open_or_create(self, table: LakeTable) -> Any:
        opened = super()._open_or_create(table)
        self._tries += 1
        self._other.replace(metrics(self._table, "a", self._tries), "a")
        return opened


def test_a_compacted_table_is_still_replaced_row_by_row(lake: DeltaLake, table: str) -> None:
    for name in ("a", "b", "c"):
        lake.replace(metrics(table, name, 1, 2), name)
    removed = lake._open(table).optimize.compact()["numFilesRemoved"]
    assert removed == 3
    assert lake.replace(metrics(table, "b", 9), "b") == 1
    assert (values(lake, table, "a"), values(lake, table, "b"), values(lake, table, "c")) == ([1, 2], [9], [1, 2])


def test_a_column_that_a_newer_version_adds_is_null_for_earlier_rows(lake: DeltaLake, table: str) -> None:
    import pyarrow as pa

    lake.replace(metrics(table, "a", 1), "a")
    data = metrics(table, "b", 2).data
    wider = LakeTable(table, data.append_column("method", pa.array(["counted"])))
    assert lake.replace(wider, "b") == 1
    assert lake.rows(table, "a")[0]["method"] is None
    assert lake.rows(table, "b")[0]["method"] == "counted"
    assert lake.replace(metrics(table, "c", 3), "c") == 1, "an older version still writes"


def test_a_column_of_another_type_is_refused(lake: DeltaLake, table: str) -> None:
    import pyarrow as pa

    lake.replace(metrics(table, "a", 1), "a")
    data = metrics(table, "b", 2).data
    other = LakeTable(table, data.set_column(3, "value", pa.array(["two"])))
    with pytest.raises(PermanentError, match=r"Column 'value' .* has type double in the lake and string"):
        lake.replace(other, "b")
    assert lake.rows(table, "b") == []


def test_docs_of_columns_stand_in_the_table_for_its_readers(lake: DeltaLake, table: str) -> None:
    lake.replace(metrics(table, "a", 1), "a")
    opened = lake._open(table)
    assert opened.metadata().description == QC.doc
    comments = {field.name: field.metadata["comment"] for field in opened.schema().fields}
    assert comments["unit"].startswith("UCUM code")


def test_storage_that_does_not_answer_is_a_transient_failure(table: str) -> None:
    nobody = DeltaLake(parse_connection_string(f"BlobEndpoint=http://127.0.0.1:{_closed_port()}/devstoreaccount1"))
    with pytest.raises(TransientError, match="cannot be read or written"):
        nobody.replace(metrics(table, "a", 1), "a")


def _closed_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PROGRAM = """
import sys
from shared.adapters.delta import DeltaLake
from tests.contract.test_delta_lake import metrics
lake = DeltaLake.connect(connection_string=sys.argv[1])
print(lake.replace(metrics(sys.argv[2], "a", 1, 2), "a"), len(lake.rows(sys.argv[2], "a")))
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_processes_that_write_at_once_agree_and_end_cleanly(
    azurite: Azurite, lake: DeltaLake, table: str, processes: list[subprocess.Popen[str]]
) -> None:
    for _ in range(2):
        command = [sys.executable, "-W", "error", "-c", PROGRAM, azurite.connection_string, table]
        processes.append(subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert results == [("2 2\n", "", 0)] * 2
    assert values(lake, table, "a") == [1, 2]
