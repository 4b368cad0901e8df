"""The lake's schema, and that its page tells the truth."""

import re
from pathlib import Path

import pytest

from shared.lake.schema import TABLES, TableSchema, arrow_schema, describe

PAGE = Path(__file__).parents[4] / "docs" / "lake.md"
by_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def test_the_page_describes_every_table_and_column_as_the_schema_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    page = text[text.index("## ") :].strip()
    assert page == describe().strip(), "docs/lake.md is behind: put the output of describe() below its comment"


@by_table
def test_analysis_and_sample_come_first_so_that_file_statistics_hold_them(table: TableSchema) -> None:
    assert [column.name for column in table.columns[:2]] == ["analysis", "sample"]
    assert not any(column.nullable for column in table.columns[:2])


@by_table
def test_statistics_cover_every_column(table: TableSchema) -> None:
    # Delta collects statistics of the first 32 columns only.
    assert len(table.columns) <= 32


@by_table
def test_columns_have_distinct_plain_names_and_a_meaning(table: TableSchema) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert all(column.doc.endswith(".") and "|" not in column.doc for column in table.columns)


@by_table
def test_docs_and_units_become_comments_of_the_delta_columns(table: TableSchema) -> None:
    for field, column in zip(arrow_schema(table), table.columns, strict=True):
        comment = field.metadata[b"comment"].decode()
        assert comment.startswith(column.doc)
        assert column.unit in comment
        assert field.nullable == column.nullable


def test_patient_columns_stand_in_the_samples_only() -> None:
    holders = {table.name for table in TABLES for column in table.columns if "patient" in column.name}
    assert holders == {"samples"}
