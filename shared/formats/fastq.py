"""FASTQ pairs, read in lock-step and checked, with the place of every fault.

Blocks of both files are checked as a whole (`fastq_table`); where such a check fails, and only there, records are read
one by one (`fastq_record`), which names file, line, read and fault. Only a faulty read's name and number appear in a
message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from isal import isal_zlib
from pydantic import Field

from shared.domain.ids import Document
from shared.errors import PermanentError
from shared.formats.fastq_lane import FastqLane, LanePlace
from shared.formats.fastq_record import Record, bare_name, declared_mate, full_name, shown
from shared.formats.fastq_stream import FastqSource
from shared.formats.fastq_table import FastqTable, are_mates

__all__ = ["BLOCK_BYTES", "FastqPairs", "FastqSource", "PairBlock", "PairsPlace"]

BLOCK_BYTES = 1 << 19
"""Text of each file that is looked at together: fits a core's cache, and is large for numpy."""

SAME_PAIRS = 1_000
"""So many pairs from the first on whose mates are equal to the letter are one file given twice."""


@dataclass(frozen=True, slots=True)
class PairBlock:
    """Consecutive read pairs, or single-end reads.

    Attributes:
        count: Pairs, or reads.
        first_name: R1's name of the first, without comment.
        last_name: That of the last.
    """

    count: int
    first_name: str
    last_name: str
    _mates: tuple[tuple[FastqTable, int] | Record, ...]

    def text(self) -> bytes:
        """As FASTQ: R1, R2, R1, R2, ...; or the single-end reads."""
        step = len(self._mates)
        parts = [b""] * (step * self.count)
        for at, mate in enumerate(self._mates):
            parts[at::step] = [mate.text()] if isinstance(mate, Record) else _records(*mate, self.count)
        return b"".join(parts)

    def checksums(self, before: Sequence[int] = ()) -> tuple[int, ...]:
        """CRC-32 of each mate's text, going on from those of the blocks before; the same however blocks are cut."""
        values = before or (0,) * len(self._mates)
        return tuple(
            isal_zlib.crc32(self._mate_text(mate), value) for mate, value in zip(self._mates, values, strict=True)
        )

    def _mate_text(self, mate: tuple[FastqTable, int] | Record) -> bytes | memoryview:
        if isinstance(mate, Record):
            return mate.text()
        table, row = mate
        return memoryview(table.text)[int(table.bounds[row]) : int(table.bounds[row + self.count])]


class PairsPlace(Document):
    """A place between two pairs, or single-end reads, with all that must be known of those before it to go on there.

    Attributes:
        pairs: Pairs, or single-end reads, before it.
        same: Pairs of equal mates from the first on; None after a pair that differs, and for single-end reads.
        r2: None for single-end reads.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    pairs: int
    same: int | None
    r1: LanePlace
    r2: LanePlace | None = None

    @property
    def lanes(self) -> tuple[LanePlace, ...]:
        """The places in the files, in the order of the mates."""
        return (self.r1,) if self.r2 is None else (self.r1, self.r2)


class FastqPairs:
    """The read pairs of two FASTQ files in their order; gzip (of several members, or BGZF), zstd or plain text.

    Args:
        r1: The first mates; from the file's beginning, or from the byte of the begin's seek point on.
        r2: The second mates, likewise.
        block_bytes: Text that is checked together; 0 to check every record by itself. Changes speed, nothing else.
        begin: Where to begin; None at the files' beginning.
    """

    def __init__(
        self, r1: FastqSource, r2: FastqSource, block_bytes: int = BLOCK_BYTES, begin: PairsPlace | None = None
    ) -> None:
        passed = begin.pairs if begin else 0
        self._lanes = (
            FastqLane(r1, block_bytes, begin.r1 if begin else None, passed),
            FastqLane(r2, block_bytes, begin.r2 if begin else None, passed),
        )
        self._singles = 0  # pairs that are to be taken one by one
        self._is_always_single = block_bytes == 0
        self._same = begin.same if begin else 0  # pairs of equal mates from the first on; None after one that differs

    @property
    def count(self) -> int:
        """Pairs passed."""
        return self._lanes[0].count

    def place(self) -> PairsPlace:
        """Where the next pair begins."""
        r1, r2 = (lane.place() for lane in self._lanes)
        return PairsPlace(pairs=self.count, same=self._same, r1=r1, r2=r2)

    def take(self, limit: int) -> PairBlock | None:
        """The next pairs, 1 to `limit` of them; None at the end.

        Raises:
            PermanentError: For a file that is damaged, no FASTQ, or no mate of the other one: which file, which read,
                why, and what to do. The pairs before the fault were given out.
        """
        if not self._singles and not self._is_always_single and (block := self._take_rows(limit)):
            return block
        self._singles = max(0, self._singles - 1)
        return self._take_single()

    def _take_rows(self, limit: int) -> PairBlock | None:
        first, second = (lane.table() for lane in self._lanes)
        count = min(first[2], second[2], limit) if first and second else 0
        if not first or not second or not are_mates(first[0], first[1], second[0], second[1], count):
            self._singles = max(lane.block_records() for lane in self._lanes)
            return None
        one, two = first[:2], second[:2]
        if self._same is not None:
            equal = _leading_equals(_records(*one, count), _records(*two, count))
            if self._same + equal >= SAME_PAIRS:  # the fault is within; the pairs before it go out singly
                self._singles = count
                return None
            self._same = self._same + equal if equal == count else None
        for lane in self._lanes:
            lane.pass_rows(count)
        table, row = one
        return PairBlock(count, table.name(row), table.name(row + count - 1), (one, two))

    def _take_single(self) -> PairBlock | None:
        r1, r2 = self._lanes
        one, two = r1.record(), r2.record()
        if one is None and two is None:
            self._check_end()
            return None
        if one is None or two is None:
            raise self._unequal()
        _check_mates(one, two, r1, r2)
        if self._same is not None:
            self._same = self._same + 1 if one == two else None
            if self._same == SAME_PAIRS:
                raise self._one_file_twice()
        name = full_name(one.title).decode("ascii")
        return PairBlock(1, name, name, (one, two))

    def _check_end(self) -> None:
        for lane in self._lanes:
            lane.check_end()
        if self._same:
            raise self._one_file_twice()

    def _one_file_twice(self) -> PermanentError:
        r1, r2 = self._lanes
        return PermanentError(
            f"{r1.name} and {r2.name} hold the same reads: one file was uploaded twice. Upload the matching R1 and "
            "R2, then the order again."
        )

    def _unequal(self) -> PermanentError:
        r1, r2 = self._lanes
        for lane in self._lanes:
            lane.pass_rest()
        mate, short, long = ("R1", r1, r2) if r1.count < r2.count else ("R2", r2, r1)
        return PermanentError(
            f"{mate} ends early: {short.name} has {short.count:,} reads, {long.name} has {long.count:,}. The upload "
            "looks truncated or the files are not a pair. Upload both files again, then the order again."
        )


def _check_mates(one: Record, two: Record, r1: FastqLane, r2: FastqLane) -> None:
    if bare_name(one.title) != bare_name(two.title):
        raise PermanentError(
            f"Mates differ at read {r1.count:,}: {r1.name} has '{shown(full_name(one.title))}', {r2.name} has "
            f"'{shown(full_name(two.title))}'. The files are not a pair, or one of them was sorted or filtered alone. "
            "Upload the matching R1 and R2, then the order again."
        )
    said = declared_mate(one.title), declared_mate(two.title)
    if said[0] != 2 and said[1] != 1:
        return
    name = shown(full_name(one.title))
    if said[0] == 2 and said[1] != 2:
        why = f"R1 and R2 are swapped: {r1.name} holds second mates, {r2.name} first mates"
        if said[1] is None:
            why = f"R1 and R2 look swapped: {r1.name} holds second mates"
    elif said[1] == 1 and said[0] is None:
        why = f"R1 and R2 look swapped: {r2.name} holds first mates"
    else:
        which = "first" if said[1] == 1 else "second"
        why = f"{r1.name} and {r2.name} both hold {which} mates; one file was perhaps uploaded twice"
    raise PermanentError(f"{why} (read {r1.count:,}, '{name}'). Upload R1 as R1 and R2 as R2, then the order again.")


def _records(table: FastqTable, row: int, count: int) -> list[bytes]:
    bounds = table.bounds[row : row + count + 1].tolist()
    text = table.text
    return [text[begin:end] for begin, end in pairwise(bounds)]


def _leading_equals(ones: list[bytes], twos: list[bytes]) -> int:
    """How many pairs of equal records come before the first pair that differs."""
    return next((at for at, (one, two) in enumerate(zip(ones, twos, strict=True)) if one != two), len(ones))
