"""Many FASTQ records at once: where each lies, after a check of all of them with numpy.

A block that passes is valid by the rules of `fastq_record`; one that fails is looked at there, line by line. A valid
block may fail (a name of 255 characters with ``/1``): that costs time, never a wrong answer.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.formats.fastq_record import BASES, MAX_NAME_BYTES, MAX_READ_BP, MAX_TITLE_BYTES

Positions = NDArray[np.intp]
Bytes = NDArray[np.uint8]

_NEWLINE, _TAB, _SPACE, _AT, _PLUS, _SLASH, _COLON = b"\n\t @+/:"
_FIRST_PRINTED, _LAST_PRINTED = b"!~"


@dataclass(frozen=True, slots=True)
class FastqTable:
    """The whole records at the beginning of a text; offsets are into the text, 0-based, one per record.

    Attributes:
        text: The text; with bare third lines.
        bounds: Where each record begins, and the end of the last: one more than there are records.
        name_ends: Where the name ends (its begin is the record's begin + 1), with ``/1``.
        bare_ends: The same without ``/1`` and ``/2``.
        lowest: The lowest quality character; None when it was not asked for.
        highest: The highest quality character.
        places: The bounds in the text as it was given, before its third lines were made bare.
    """

    text: bytes
    bounds: Positions
    name_ends: Positions
    bare_ends: Positions
    lowest: int | None
    highest: int | None
    places: Positions

    def __len__(self) -> int:
        return len(self.name_ends)

    def name(self, row: int) -> str:
        """A record's name, without comment."""
        return self.text[int(self.bounds[row]) + 1 : int(self.name_ends[row])].decode("ascii")


@dataclass(frozen=True, slots=True)
class _Lines:
    """Begin of each record and ends of its four lines."""

    begins: Positions
    title_ends: Positions
    sequence_ends: Positions
    plus_ends: Positions
    quality_ends: Positions


def tabulate(text: bytes, *, with_qualities: bool) -> FastqTable | None:
    """The whole records at the beginning of a text; None when there are none or any of them may be faulty."""
    array = np.frombuffer(text, np.uint8)
    low = np.flatnonzero(array < _FIRST_PRINTED)  # line ends, and blanks in titles
    is_end = array[low] == _NEWLINE
    ends = low[is_end]
    count = len(ends) // 4
    if count == 0:
        return None
    table = ends[: 4 * count].reshape(count, 4).T
    begins = np.concatenate(([0], table[3][:-1] + 1))
    lines = _Lines(begins, table[0], table[1], table[2], table[3])
    bound = int(lines.quality_ends[-1]) + 1
    blanks = _title_blanks(array, low, is_end, 4 * count)
    if blanks is None or array[:bound].max() > _LAST_PRINTED or not _has_shape(array, lines):
        return None
    if int((lines.plus_ends - lines.sequence_ends).max()) > 2:
        bare = _without_repeated_titles(text, lines)
        found = None if bare is None else tabulate(bare, with_qualities=with_qualities)
        return found and replace(found, places=np.append(begins, bound))
    if not _are_bases(_gather(text, lines.title_ends + 1, lines.sequence_ends)):
        return None
    name_ends = _name_ends(lines, blanks)
    if not 0 < int((name_ends - begins).min()) - 1 <= int((name_ends - begins).max()) - 1 <= MAX_NAME_BYTES:
        return None
    lowest = highest = None
    if with_qualities:
        qualities = _gather(text, lines.plus_ends + 1, lines.quality_ends)
        lowest, highest = int(qualities.min()), int(qualities.max())
    bounds = np.append(begins, bound)
    return FastqTable(
        text=text,
        bounds=bounds,
        name_ends=name_ends,
        bare_ends=_bare_ends(array, begins, name_ends),
        lowest=lowest,
        highest=highest,
        places=bounds,
    )


def are_mates(first: FastqTable, i: int, second: FastqTable, j: int, count: int) -> bool:
    """Whether `count` records from `i` and `j` on have the same names, and none says it is the other mate."""
    one, two = slice(i, i + count), slice(j, j + count)
    lengths = first.bare_ends[one] - first.bounds[:-1][one]
    if not np.array_equal(lengths, second.bare_ends[two] - second.bounds[:-1][two]):
        return False
    width = int(lengths.max())  # with the '@'
    differ = _windows(first.text, first.bounds[:-1][one], width) != _windows(
        second.text, second.bounds[:-1][two], width
    )
    if int(lengths.min()) < width:
        differ &= np.arange(width) < lengths[:, np.newaxis]
    if differ.any():
        return False
    return not (_may_declare(first, one, b"2") or _may_declare(second, two, b"1"))


def declares_mate(table: FastqTable, row: int, count: int, mate: bytes) -> bool:
    """Whether any of `count` records from `row` on may say that it is this mate (`1` or `2`)."""
    return _may_declare(table, slice(row, row + count), mate)


def _may_declare(table: FastqTable, rows: slice, mate: bytes) -> bool:
    """Whether any name ends with ``/mate``, or any comment begins with ``mate:``."""
    array = np.frombuffer(table.text, np.uint8)
    ends = table.name_ends[rows]
    # What follows a name is a blank or a line end, and more than two bytes of the record.
    suffix = (array[ends - 1] == mate[0]) & (array[ends - 2] == _SLASH)
    comment = (array[ends + 1] == mate[0]) & (array[ends + 2] == _COLON)
    return bool(suffix.any() or comment.any())


def _title_blanks(
    array: Bytes, low: Positions, is_end: NDArray[np.bool_], line_count: int
) -> tuple[Positions, Positions] | None:
    """Lines (0-based) and places of the blanks; None for a control character, or a blank in bases or qualities."""
    lines: Positions = np.cumsum(is_end, dtype=np.intp)[~is_end]
    places = low[~is_end]
    inside = lines < line_count
    lines, places = lines[inside], places[inside]
    found = array[places]
    if not ((found == _SPACE) | (found == _TAB)).all() or (lines & 1).any():
        return None
    return lines, places


def _has_shape(array: Bytes, lines: _Lines) -> bool:
    """Whether lines begin as they must and their lengths are right."""
    bases = lines.sequence_ends - lines.title_ends - 1
    return bool(
        (array[lines.begins] == _AT).all()
        and (array[lines.sequence_ends + 1] == _PLUS).all()
        and np.array_equal(bases, lines.quality_ends - lines.plus_ends - 1)
        and bases.min() > 0
        and bases.max() <= MAX_READ_BP
        and (lines.title_ends - lines.begins).max() <= MAX_TITLE_BYTES
    )


def _without_repeated_titles(text: bytes, lines: _Lines) -> bytes | None:
    """The text with bare third lines; None when one of them repeats something else than its title."""
    parts: list[bytes] = []
    for begin, title, sequence, plus, quality in zip(
        lines.begins.tolist(),
        lines.title_ends.tolist(),
        lines.sequence_ends.tolist(),
        lines.plus_ends.tolist(),
        lines.quality_ends.tolist(),
        strict=True,
    ):
        if plus > sequence + 2 and text[sequence + 2 : plus] != text[begin + 1 : title]:
            return None
        parts += (text[begin : sequence + 2], text[plus : quality + 1])
    return b"".join((*parts, text[int(lines.quality_ends[-1]) + 1 :]))


def _name_ends(lines: _Lines, blanks: tuple[Positions, Positions]) -> Positions:
    """The first blank of each title, or its end."""
    ends = lines.title_ends.copy()
    numbers, places = blanks
    is_first = np.diff(numbers, prepend=-1) > 0
    ends[numbers[is_first] // 4] = places[is_first]
    return ends


def _bare_ends(array: Bytes, begins: Positions, name_ends: Positions) -> Positions:
    last = array[name_ends - 1]
    has_mate = (array[name_ends - 2] == _SLASH) & ((last == ord("1")) | (last == ord("2"))) & (name_ends - begins > 3)
    return np.where(has_mate, name_ends - 2, name_ends)


def _are_bases(letters: Bytes) -> bool:
    # The usual letters by whole-array operations: A, C and G (and E) differ in two bits only.
    usual = ((letters & 0xF9) == ord("A")) | (letters == ord("T")) | (letters == ord("N"))
    if usual.all() and not (letters == ord("E")).any():
        return True
    return not letters.tobytes().translate(None, BASES)


def _gather(text: bytes, begins: Positions, ends: Positions) -> Bytes:
    """The stretches one after the other."""
    lengths = ends - begins
    width = int(lengths[0])
    if (lengths == width).all():
        return _windows(text, begins, width).reshape(-1)
    joined = b"".join([text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)])
    return np.frombuffer(joined, np.uint8)


def _windows(text: bytes, begins: Positions, width: int) -> Bytes:
    """`width` bytes from each place on, a row each; zeros beyond the text."""
    if int(begins[-1]) + width > len(text):
        text += bytes(width)
    # Every place of the text seen as the begin of an item, so that numpy copies whole items.
    places: NDArray[np.void] = np.ndarray((len(text) - width + 1,), f"V{width}", text, strides=(1,))
    return places[begins].view(np.uint8).reshape(len(begins), width)
