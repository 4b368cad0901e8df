"""Illumina's sample sheets: v1 (Experiment Manager, section Data) and v2 (bcl-convert, section BCLConvert_Data).

Such a sheet names no files: they follow from the sample's name, its number and its lanes, as Illumina's software
writes them.
"""

import re
from collections.abc import Sequence

from shared.domain.sheet import Sheet, SheetFault, SheetSample
from shared.errors import PermanentError
from shared.formats.sheet_values import check_sample_name, common_fields

Row = tuple[int, list[str]]
"""A row with its line number, from 1."""

_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]")
_DATA = ("bclconvert_data", "data")
"""Sections of samples; a v2 sheet may carry others for other software."""


def read_illumina(rows: Sequence[Row], name: str) -> Sheet:
    """Read the rows of an Illumina sheet.

    Args:
        rows: Its rows that hold anything.
        name: Its blob name, for messages.

    Raises:
        PermanentError: When it has no samples, or no column `Sample_ID`.
    """
    sections = _sections(rows)
    data = next((sections[section] for section in _DATA if sections.get(section)), None)
    if data is None:
        raise PermanentError(
            f"landing/{name} has no section [BCLConvert_Data] or [Data] with samples. Upload the run's sample sheet."
        )
    (line, header), *body = data
    columns = [cell.lower() for cell in header]
    if "sample_id" not in columns:
        raise PermanentError(f"landing/{name} has no column Sample_ID in line {line}. Upload the run's sample sheet.")
    by_sample: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for number, cells in body:
        row = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
        by_sample.setdefault(row.get("sample_id", ""), []).append((number, row))
    is_lane_split = not _is_set(sections.get("bclconvert_settings", ()), "nolanesplitting")
    is_one_read = _is_one_read(sections.get("reads", ()))
    samples, faults = [], []
    for number, (sample, lines) in enumerate(by_sample.items(), start=1):
        try:
            samples.append(_sample(sample, number, lines, is_lane_split=is_lane_split, is_one_read=is_one_read))
        except PermanentError as error:
            faults.append(SheetFault(tuple(at for at, _ in lines), sample, str(error)))
    return Sheet(tuple(samples), tuple(faults))


def _sections(rows: Sequence[Row]) -> dict[str, list[Row]]:
    sections: dict[str, list[Row]] = {}
    current: list[Row] = []
    for number, cells in rows:
        if match := _SECTION.fullmatch(cells[0]):
            current = sections.setdefault(match["name"].strip().lower(), [])
        else:
            current.append((number, cells))
    return sections


def _is_set(settings: Sequence[Row], key: str) -> bool:
    return any(cells[0].lower() == key and cells[1:2] in (["1"], ["true"], ["TRUE"], ["True"]) for _, cells in settings)


def _is_one_read(reads: Sequence[Row]) -> bool:
    """Whether the section Reads tells of one read: v1 has a line of cycles per read, v2 lines as `Read1Cycles,151`."""
    cycles = {cells[0].lower(): cells[1] for _, cells in reads if len(cells) > 1 and cells[1]}
    if "read1cycles" in cycles:
        return cycles.get("read2cycles", "0") == "0"
    return len(reads) == 1 and reads[0][1][0].isdigit()


def _sample(
    sample: str, number: int, rows: list[tuple[int, dict[str, str]]], *, is_lane_split: bool, is_one_read: bool
) -> SheetSample:
    """One sample of all its rows.

    Raises:
        PermanentError: With the reason, without the place.
    """
    check_sample_name(sample, "Sample_ID")
    lanes = set()
    stems = [sample]
    for _, row in rows:
        lane = row.get("lane", "")
        if lane and not re.fullmatch(r"[1-9]", lane):
            raise PermanentError("`Lane` is no number from 1 to 9. Correct it.")
        if lane:
            lanes.add(int(lane))
        stems.append(row.get("sample_name", sample))
    return SheetSample(
        sample=sample,
        lines=tuple(at for at, _ in rows),
        fields=common_fields([row for _, row in rows]),
        file_stems=tuple(dict.fromkeys(stems)),
        number=number,
        lanes=tuple(sorted(lanes)),
        is_lane_split=is_lane_split,
        is_one_read=is_one_read,
    )
