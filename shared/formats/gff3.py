"""Lines of a GFF3 file: nine columns, attributes as ``key=value;key=value`` with percent-encoded values.

A line parser is enough here: gene models are read once, from front to end, and the known libraries build a database
or a data frame first.
"""

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from shared.errors import PermanentError

_ENCODED = {"%": "%25", ";": "%3B", "=": "%3D", "&": "%26", ",": "%2C", "\t": "%09", "\n": "%0A"}


@dataclass(frozen=True, slots=True)
class Feature:
    """A row of a GFF3 file; `start` and `end` are 0-based half-open (the file has 1-based, closed).

    Attributes:
        strand: ``+``, ``-``, ``.`` or ``?``.
        phase: Bases before the first whole codon, for CDS rows; None otherwise.
        attributes: Decoded values by key.
        line: Line number in the file, from 1.
    """

    contig: str
    kind: str
    start: int
    end: int
    strand: str
    phase: int | None
    attributes: Mapping[str, str]
    line: int


def read_features(source: Path, *, kinds: frozenset[str] | None = None) -> Iterator[Feature]:
    """All rows of a GFF3 file, plain or gzip, in its order; comments and an embedded FASTA are left out.

    Args:
        source: The file.
        kinds: When given, rows of other types are skipped unparsed.

    Raises:
        PermanentError: For a row that is no GFF3, with file and line.
    """
    with open_text(source) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("##FASTA"):
                return
            if line.startswith("#") or not line.strip():
                continue
            columns = line.rstrip("\r\n").split("\t")
            if len(columns) == 9 and kinds is not None and columns[2] not in kinds:
                continue
            yield parse_row(columns, source.name, number)


def parse_row(columns: list[str], file_name: str, number: int) -> Feature:
    """A row from its nine columns.

    Raises:
        PermanentError: Naming file and line.
    """
    if len(columns) != 9:
        raise _bad(file_name, number, f"has {len(columns)} columns separated by tabs, GFF3 has 9")
    contig, _, kind, first, last, _, strand, phase, rest = columns
    if not (first.isdigit() and last.isdigit()) or not 1 <= int(first) <= int(last):
        raise _bad(file_name, number, f"has start '{first}' and end '{last}', expected 1-based, start <= end")
    if phase not in {".", "0", "1", "2"}:
        raise _bad(file_name, number, f"has phase '{phase}', expected 0, 1, 2 or a dot")
    attributes: dict[str, str] = {}
    for pair in rest.split(";"):
        key, equals, value = pair.lstrip().partition("=")
        if equals:
            attributes[key] = unquote(value) if "%" in value else value
        elif key:
            raise _bad(file_name, number, f"has the attribute '{key}' without '='; a GTF file must be GFF3")
    return Feature(
        contig, kind, int(first) - 1, int(last), strand, None if phase == "." else int(phase), attributes, number
    )


def format_row(feature: Feature) -> str:
    """The row as GFF3 text, without the line end."""
    attributes = ";".join(f"{key}={encode(value)}" for key, value in feature.attributes.items())
    phase = "." if feature.phase is None else str(feature.phase)
    return (
        f"{feature.contig}\t.\t{feature.kind}\t{feature.start + 1}\t{feature.end}\t.\t{feature.strand}\t{phase}\t"
        f"{attributes}"
    )


def encode(value: str) -> str:
    """An attribute's value, percent-encoded as GFF3 demands."""
    return "".join(_ENCODED.get(character, character) for character in value)


def open_text(source: Path) -> IO[str]:
    """A text file, plain or gzip, whatever it is called.

    Raises:
        PermanentError: When it is not there.
    """
    try:
        with source.open("rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
    except FileNotFoundError as error:
        raise PermanentError(f"There is no file {source.name}. Check the path of the gene models.") from error
    return gzip.open(source, "rt", encoding="utf-8") if is_gzip else source.open(encoding="utf-8")


def _bad(file_name: str, number: int, what: str) -> PermanentError:
    return PermanentError(
        f"{file_name}, line {number:,}: the row {what}. Download the file again, as GFF3, from Ensembl, GENCODE or "
        "NCBI."
    )
