"""One of the two FASTQ files of a pair: its text in blocks, as tables of records or record by record."""

from collections.abc import Iterator

from shared.domain.ids import Document
from shared.errors import PermanentError
from shared.formats.fastq_record import (
    LINE_LIMITS,
    MAX_RECORD_BYTES,
    PHRED64_ADVICE,
    PHRED64_RANGE,
    UPLOAD_AGAIN,
    Record,
    check_record,
    looks_like_phred64,
)
from shared.formats.fastq_stream import FastqSource, FastqText, TextPlace
from shared.formats.fastq_table import FastqTable, tabulate
from shared.formats.unpacking import DamageKind


class LanePlace(Document):
    """Where one file of a pair goes on.

    Attributes:
        place: The place in its text.
        lowest: The lowest quality character so far.
        highest: The highest.
    """

    place: TextPlace
    lowest: int
    highest: int


class FastqLane:
    """Reads one file; keeps no more than a block and a piece of it in memory.

    A block is first tabulated as a whole. When that fails, or the caller asks, records are taken one by one, which
    finds the fault or finds none; then the next block is tabulated again.

    Args:
        source: The file from its beginning, or from the byte of the begin's seek point on.
        block_bytes: Text that is tabulated together.
        begin: Where to begin; None at the beginning.
        passed: Records before it.

    Attributes:
        name: The file's name for messages.
        count: Records that were passed.
    """

    def __init__(self, source: FastqSource, block_bytes: int, begin: LanePlace | None = None, passed: int = 0) -> None:
        self.name = source.name
        self.count = passed
        self._source = FastqText(source.stream, begin.place if begin else None)
        self._block_bytes = block_bytes
        self._text = b""
        self._at = 0  # begin of the next record in the text
        self._is_read = False  # nothing comes after the text
        self._table: FastqTable | None = None
        self._row = 0  # the next record in the table
        self._lowest, self._highest = (begin.lowest, begin.highest) if begin else (255, 0)

    def place(self) -> LanePlace:
        """Where the next record begins."""
        rest = len(self._text) - self._position()
        return LanePlace(place=self._source.place(self._source.end - rest), lowest=self._lowest, highest=self._highest)

    def table(self) -> tuple[FastqTable, int, int] | None:
        """The records that are known to be good: table, first row, count; None when they must be taken singly."""
        if self._table is None or self._row == len(self._table):
            self._forget_table()
            self._fill(self._block_bytes)
            self._text, self._at = self._text[self._at :], 0
            table = tabulate(self._text, with_qualities=self._may_be_phred64())
            if table is None:
                return None
            if table.lowest is not None and table.highest is not None:
                self._note_qualities(table.lowest, table.highest)
            self._table, self._row = table, 0
        return self._table, self._row, len(self._table) - self._row

    def pass_rows(self, count: int) -> None:
        """Go on after `count` records of the table."""
        self._row += count
        self.count += count

    def block_records(self) -> int:
        """About how many records are in memory; at least 1."""
        return max(1, self._text.count(b"\n", self._position()) // 4)

    def record(self) -> Record | None:
        """The next record, checked line by line; None at the end.

        Raises:
            PermanentError: For a fault of the record or the file.
        """
        self._forget_table()
        while not self._is_read and not self._has_record():
            self._fill(len(self._text) - self._at + 1)
        lines = self._lines()
        if len(lines) < len(LINE_LIMITS) and self._source.damage and not _is_cut(lines):
            raise self._damaged()
        if not lines:
            return None
        record = check_record(lines, self.count + 1, self.name)
        self._at += sum(map(len, lines)) + len(lines)
        self.count += 1
        self._note_qualities(min(record.quality), max(record.quality))
        return record

    def check_end(self) -> None:
        """Raise when the qualities of the whole file are of another scale."""
        if looks_like_phred64(self._lowest, self._highest):
            raise PermanentError(
                f"{self.name} looks like Phred+64: all its qualities are between '{chr(self._lowest)}' and "
                f"'{chr(self._highest)}'. {PHRED64_ADVICE}."
            )

    def pass_rest(self) -> None:
        """Go to the end of the file."""
        while True:
            found = self.table()
            if found:
                self.pass_rows(found[2])
            elif self.record() is None:
                return

    def _may_be_phred64(self) -> bool:
        return self._lowest >= PHRED64_RANGE[0] and self._highest <= PHRED64_RANGE[1]

    def _note_qualities(self, lowest: int, highest: int) -> None:
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)

    def _position(self) -> int:
        return int(self._table.places[self._row]) if self._table is not None else self._at

    def _forget_table(self) -> None:
        self._at, self._table = self._position(), None

    def _fill(self, wanted: int) -> None:
        """Have so many bytes from the next record on, unless the file ends."""
        if self._is_read or len(self._text) - self._at >= wanted:
            return
        parts = [self._text[self._at :]]
        size = len(parts[0])
        while size < wanted:
            piece = self._source.read()
            if not piece:
                self._is_read = True
                break
            parts.append(piece)
            size += len(piece)
        self._text, self._at = b"".join(parts), 0

    def _has_record(self) -> bool:
        end = self._at + MAX_RECORD_BYTES
        return len(self._text) >= end or self._text.count(b"\n", self._at, end) >= len(LINE_LIMITS)

    def _lines(self) -> list[bytes]:
        """The next record's lines; fewer at the end of the file, or after a line that is longer than its limit."""
        return list(self._split())

    def _split(self) -> Iterator[bytes]:
        at = self._at
        for limit in LINE_LIMITS:
            end = self._text.find(b"\n", at, at + limit + 1)
            if end < 0:
                if len(self._text) - at > limit:
                    yield self._text[at : at + limit + 1]
                return
            yield self._text[at:end]
            at = end + 1

    def _damaged(self) -> PermanentError:
        damage = self._source.damage
        assert damage is not None
        # The decompressor may hold back the last piece before the damage, hence "at least".
        where = f" after at least {self.count:,} whole reads" if self.count else ""
        if damage.kind is DamageKind.TRUNCATED:
            return PermanentError(
                f"{self.name} is truncated: its {damage.packing} data ends early{where}. The upload or the copy was "
                f"cut off. {UPLOAD_AGAIN}."
            )
        if damage.kind is DamageKind.TOO_WIDE:
            return PermanentError(
                f"{self.name} needs more than 128 MiB of memory to unpack; it was packed with `zstd --long`. Pack it "
                "without that and upload it, then upload the order again."
            )
        return PermanentError(
            f"{self.name} is damaged: its {damage.packing} data cannot be read{where} ({damage.reason}). "
            f"{UPLOAD_AGAIN}."
        )


def _is_cut(lines: list[bytes]) -> bool:
    """Whether the last line is longer than allowed; the fault is then its length."""
    return bool(lines) and len(lines[-1]) > LINE_LIMITS[len(lines) - 1]
