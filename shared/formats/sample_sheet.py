"""Sample sheets as CSV: the simple one (columns as nf-core/sarek's, or DRAGEN's fastq_list) and Illumina's.

Read with the csv module and not with a library: the libraries for Illumina's sheets raise for a whole sheet, while
here a row that cannot be used is named with its line and the others go on.
"""

import csv
import io
from collections.abc import Iterator, Mapping

from shared.domain.fastq_names import NameKind, is_fastq, is_inside, parse_fastq_name
from shared.domain.sheet import Field, Sheet, SheetFault, SheetPair, SheetSample
from shared.errors import PermanentError
from shared.formats.illumina_sheet import read_illumina
from shared.formats.sheet_values import check_sample_name, common_fields

_COLUMNS = {
    **{str(field): str(field) for field in Field},
    "sample": "sample",
    "status": "status",
    "lane": "lane",
    "fastq_1": "fastq_1",
    "fastq_2": "fastq_2",
    # DRAGEN's fastq_list.csv, which bcl-convert writes
    "rgsm": "sample",
    "read1file": "fastq_1",
    "read2file": "fastq_2",
}
_NOT_READ = frozenset({"rgid", "rglb"})


def read_sheet(data: bytes, name: str) -> Sheet:
    """Read a sample sheet of either form; what it begins with tells which.

    Args:
        data: The file.
        name: Its blob name, for messages.

    Raises:
        PermanentError: When nothing of it can be used.
    """
    try:
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except UnicodeDecodeError as error:
        raise PermanentError(f"landing/{name} is not UTF-8 text: {error.reason}. Save it as CSV UTF-8.") from error
    rows = list(_rows(text, name))
    if not rows:
        raise PermanentError(f"landing/{name} is empty. Upload the sample sheet again.")
    if rows[0][1][0].startswith("["):
        return read_illumina(rows, name)
    return _read_simple(rows, name)


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, stripped, each with the number of its (last) line."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    # Spreadsheets of half the world write semicolons; the first line tells.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise PermanentError(
            f"landing/{name} is no CSV at line {reader.line_num}: {error}. Save it as CSV UTF-8 and upload it again."
        ) from error


def _read_simple(rows: list[tuple[int, list[str]]], name: str) -> Sheet:
    (line, header), *body = rows
    lower = [cell.lower() for cell in header]
    columns = [_COLUMNS.get(cell, "") for cell in lower]
    for needed in ("sample", "fastq_1", "fastq_2"):
        if needed not in columns:
            raise PermanentError(
                f"landing/{name} has no column `{needed}` in line {line}. A sample sheet has the columns patient, "
                "sample, sex, lane, fastq_1 and fastq_2, with commas between them; or it is Illumina's."
            )
    if doubled := sorted({column for column in columns if column and columns.count(column) > 1}):
        raise PermanentError(f"landing/{name} has the column `{doubled[0]}` twice in line {line}. Keep one of them.")
    unread = [
        cell for cell, column in zip(lower, columns, strict=True) if cell and not column and cell not in _NOT_READ
    ]
    rows_of: dict[str, list[tuple[int, Mapping[str, str]]]] = {}
    faults = []
    for number, cells in body:
        if any(cells[len(columns) :]):
            faults.append(SheetFault((number,), "", f"it has {len(cells)} values for {len(columns)} columns."))
            continue
        row = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
        rows_of.setdefault(row.get("sample", ""), []).append((number, row))
    samples = []
    for sample, lines in rows_of.items():
        try:
            samples.append(_sample(sample, lines))
        except PermanentError as error:
            faults.append(SheetFault(tuple(number for number, _ in lines), sample, str(error)))
    sound, shared = _without_shared_files(samples)
    notes = (f"Columns of the sample sheet that are not read: {', '.join(unread)}.",) if unread else ()
    return Sheet(tuple(sound), tuple(sorted([*faults, *shared], key=lambda fault: fault.lines)), notes)


def _sample(sample: str, rows: list[tuple[int, Mapping[str, str]]]) -> SheetSample:
    """One sample of all its rows, a lane each.

    Raises:
        PermanentError: With the reason, without the place.
    """
    check_sample_name(sample, "sample")
    fields = common_fields([row for _, row in rows])
    for _, row in rows:
        if row.get("status", "0") != "0":
            raise PermanentError(
                "`status` is not 0: it is a tumor sample. Only germline samples are analysed; leave the row out."
            )
    pairs = tuple(_pair(row) for _, row in rows)
    names = [name for pair in pairs for name in pair.names]
    if len(set(names)) != len(names):
        raise PermanentError("it names a FASTQ file twice. Name each file once.")
    return SheetSample(sample, tuple(number for number, _ in rows), fields, pairs)


def _pair(row: Mapping[str, str]) -> SheetPair:
    """The files of a row; its reads are single-end where `fastq_2` is empty."""
    names = []
    for mate in (1, 2):
        column = f"fastq_{mate}"
        name = row.get(column, "").removeprefix("./")
        if not name and mate == 2:
            continue
        if not is_inside(name):
            raise PermanentError(
                f"`{column}` is no name inside the drop's folder. Upload the file beside the sheet (or in a folder "
                "below it) and name it from there, such as run1/NA1_S1_L001_R1_001.fastq.gz."
            )
        if not is_fastq(name):
            raise PermanentError(f"`{column}` does not end like a FASTQ file (.fastq.gz, .fq.gz, .fastq, .fq).")
        parsed = parse_fastq_name(name.rpartition("/")[2])
        if parsed is not None and parsed.mate != mate:
            if not row.get("fastq_2"):
                raise PermanentError(
                    "`fastq_1` names a file that its name calls R2, and `fastq_2` is empty. Name R1 in `fastq_1` and "
                    "R2 in `fastq_2`; or rename the file, where its reads have no mates."
                )
            raise PermanentError(
                f"`{column}` names a file that its name calls R{parsed.mate}: the columns are swapped."
            )
        if parsed is not None and parsed.kind is NameKind.LEFT_OUT:
            raise PermanentError(f"`{column}` names index reads, or reads of no sample. Name the file of the reads.")
        names.append(name)
    return SheetPair(names[0], names[1] if len(names) > 1 else None, row.get("lane", ""))


def _without_shared_files(samples: list[SheetSample]) -> tuple[list[SheetSample], list[SheetFault]]:
    """Samples, without those that name another's file: whose it is, nobody can know."""
    users: dict[str, list[str]] = {}
    for sample in samples:
        for pair in sample.pairs or ():
            for name in pair.names:
                users.setdefault(name, []).append(sample.sample)
    sound, faults = [], []
    for sample in samples:
        others = {
            user for pair in sample.pairs or () for name in pair.names for user in users[name] if user != sample.sample
        }
        if others:
            why = f"it names a FASTQ file that {', '.join(sorted(others))} names too. A file is of one sample."
            faults.append(SheetFault(sample.lines, sample.sample, why))
        else:
            sound.append(sample)
    return sound, faults
