"""The aligned records of a chunk: their bytes batch by batch, on disk beyond a limit, and small columns to sort by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.packed import Records, Spans, coordinate_order

KEPT_BYTES = 2 << 30
"""Records of a chunk that stay in memory, bytes; a chunk of 1,000,000 pairs of 2x150 bp has 1.1 GB of them."""

_ROW = np.dtype(
    [
        ("ref", "<i4"),
        ("pos", "<i4"),
        ("end", "<i4"),
        ("flag", "<u2"),
        ("batch", "<u4"),
        ("begin", "<u4"),
        ("size", "<u4"),
    ]
)
_WRITE_RECORDS = 4_096  # records joined per write: about 2 MB


@dataclass(frozen=True, slots=True)
class RecordTable:
    """One row per record; `end` is its reference end (half-open), `begin` and `size` are bytes in its batch."""

    rows: np.ndarray  # structured, dtype _ROW

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> NDArray[np.int64]:
        """A column, widened."""
        return self.rows[name].astype(np.int64)


class ChunkRecords:
    """Takes batches in read order; gives records in coordinate order, ties in read order.

    Args:
        folder: Where batches beyond the limit go; it exists.
        kept_bytes: How many bytes of records stay in memory; does not change results.
    """

    def __init__(self, folder: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._spilled = folder / "records.bin"
        self._room = kept_bytes
        self._buffers: list[memoryview] = []
        self._rows: list[np.ndarray] = []

    def add(self, buffer: bytearray, table: Records, spans: Spans, sizes: NDArray[np.int64]) -> None:
        """Keep a batch: its records back to back in `buffer`, of these sizes (bytes)."""
        rows = np.empty(len(table), dtype=_ROW)
        for name in ("ref", "pos", "flag"):
            rows[name] = table.head[name]
        rows["end"], rows["batch"], rows["size"] = spans.end, len(self._buffers), sizes
        rows["begin"] = np.cumsum(sizes) - sizes
        self._rows.append(rows)
        self._buffers.append(self._keep(buffer))

    def _keep(self, buffer: bytearray) -> memoryview:
        self._room -= len(buffer)
        if self._room >= 0 or not buffer:
            return memoryview(buffer)
        # Mapped, not read back: the pages are the file's, and the kernel takes them when memory is short.
        with self._spilled.open("ab") as out:
            begin = out.tell()
            out.write(buffer)
        return np.memmap(self._spilled, np.uint8, "r", begin, (len(buffer),)).data

    def in_order(self) -> RecordTable:
        """All records, in coordinate order."""
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, dtype=_ROW)
        self._rows.clear()
        self._spilled.unlink(missing_ok=True)  # the maps keep it until the last of them is gone
        return RecordTable(rows[coordinate_order(rows["ref"], rows["pos"])])

    def pieces(self, table: RecordTable, chosen: NDArray[np.int64]) -> Iterator[bytes]:
        """The bytes of the chosen records of the table, some thousand at a time."""
        buffers: Sequence[memoryview] = self._buffers
        for at in range(0, len(chosen), _WRITE_RECORDS):
            rows = table.rows[chosen[at : at + _WRITE_RECORDS]]
            begin = rows["begin"]
            places = zip(rows["batch"].tolist(), begin.tolist(), (begin + rows["size"]).tolist(), strict=True)
            yield b"".join([buffers[batch][start:stop] for batch, start, stop in places])
