"""Single-end reads of a FASTQ file, checked like pairs (`fastq`), with the place of every fault."""

from shared.errors import PermanentError
from shared.formats.fastq import BLOCK_BYTES, PairBlock, PairsPlace
from shared.formats.fastq_lane import FastqLane
from shared.formats.fastq_record import Record, bare_name, declared_mate, full_name, shown
from shared.formats.fastq_stream import FastqSource
from shared.formats.fastq_table import declares_mate

__all__ = ["FastqSingles"]


class FastqSingles:
    """The reads of one FASTQ file in their order; gzip (of several members, or BGZF), zstd or plain text.

    Args:
        reads: The file from its beginning, or from the byte of the begin's seek point on.
        block_bytes: Text that is checked together; 0 to check every record by itself. Changes speed, nothing else.
        begin: Where to begin; None at the file's beginning.
    """

    def __init__(self, reads: FastqSource, block_bytes: int = BLOCK_BYTES, begin: PairsPlace | None = None) -> None:
        self._lane = FastqLane(reads, block_bytes, begin.r1 if begin else None, begin.pairs if begin else 0)
        self._singles = 0  # reads that are to be taken one by one
        self._is_always_single = block_bytes == 0
        self._first = b""  # the file's first read's name, until the second is there

    @property
    def count(self) -> int:
        """Reads passed."""
        return self._lane.count

    def place(self) -> PairsPlace:
        """Where the next read begins."""
        return PairsPlace(pairs=self.count, same=None, r1=self._lane.place())

    def take(self, limit: int) -> PairBlock | None:
        """The next reads, 1 to `limit` of them; None at the end.

        Raises:
            PermanentError: For a file that is damaged, no FASTQ, or one of pairs: which file, which read, why, and what
                to do. The reads before the fault were given out.
        """
        if self.count > 1 and not self._singles and not self._is_always_single and (block := self._take_rows(limit)):
            return block
        self._singles = max(0, self._singles - 1)
        return self._take_single()

    def _take_rows(self, limit: int) -> PairBlock | None:
        found = self._lane.table()
        if found is not None:
            table, row, count = found[0], found[1], min(found[2], limit)
            if not declares_mate(table, row, count, b"2"):
                self._lane.pass_rows(count)
                return PairBlock(count, table.name(row), table.name(row + count - 1), ((table, row),))
        self._singles = self._lane.block_records()
        return None

    def _take_single(self) -> PairBlock | None:
        record = self._lane.record()
        if record is None:
            self._lane.check_end()
            return None
        self._check(record)
        name = full_name(record.title).decode("ascii")
        return PairBlock(1, name, name, (record,))

    def _check(self, record: Record) -> None:
        name = bare_name(record.title)
        why = ""
        if self.count == 2 and name == self._first:
            why = "its first two reads have one name: it holds pairs, R1 and R2 by turns"
        elif declared_mate(record.title) == 2:
            why = f"read {self.count:,} ('{shown(full_name(record.title))}') is a second mate"
        if why:
            raise PermanentError(
                f"{self._lane.name} is not single-end: {why}. Upload R1 and R2 as two files, and an order (or row of "
                "the sample sheet) that does not call them single-end."
            )
        self._first = name
