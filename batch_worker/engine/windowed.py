"""Call a shard whose records do not fit into memory: in windows, one by one, joined as the gather joins shards.

A window is a shard of the shard. Its input is cut from the shard's parts as the align task cut those from the chunk,
with the same halo; what is called in it does not depend on where the borders are, so neither does what is joined. Parts
are read twice as a stream: once to count bytes by place, which decides the windows, once to cut.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.bam_stream import BamStream
from batch_worker.engine.bgzf import BgzfWriter, unpacked_size, write_bgzf
from batch_worker.engine.call import CallSummary
from batch_worker.engine.packed import MATE_FACTS_BYTES, NOT_PRIMARY, Cover, Records, spans_of
from batch_worker.engine.vcf_text import split_header, text_pieces
from shared.domain.genome import Contig, Interval, Shard
from shared.formats.bcftools import run_samtools
from shared.steps.gather_files import gather_gvcfs

WINDOW_BYTES = 4 << 30
"""Records of a window, its halo's included, bytes as in BAM; calling takes about 2.2 times as much memory."""

WINDOW_BP = 32_000_000
"""Length of a window, bp; calling takes about 24 bytes of memory for each."""

_LEAST_CELL_BP = 1_024  # records are counted by cells; windows are whole cells
_MOST_CELLS = 100_000
_LEVEL = 1

CallOne = Callable[[Sequence[Path], Shard, Path], CallSummary]
"""Calls a shard from its parts into a folder: `call_shard` with everything else settled."""


def call_in_windows(
    parts: Sequence[Path],
    shard: Shard,
    contigs: Sequence[Contig],
    halo_bp: int,
    call_one: CallOne,
    out_dir: Path,
    *,
    window_bytes: int = WINDOW_BYTES,
    window_bp: int = WINDOW_BP,
) -> CallSummary:
    """Call a shard with records of at most `window_bytes` in memory, but for places that are too deep for any window.

    Args:
        parts: As `call_shard` takes them.
        shard: What to call.
        contigs: Of the reference, in order.
        halo_bp: What the parts were cut with.
        call_one: Calls one window, or the whole when it is small.
        out_dir: For the results; cut parts lie there meanwhile.
        window_bytes: Records that one call may hold; does not change results.
        window_bp: Length that one call may have; does not change results.
    """
    if shard.length <= window_bp and sum(map(unpacked_size, parts)) <= window_bytes:
        return call_one(parts, shard, out_dir)
    windows = choose_windows(parts, shard, contigs, halo_bp, window_bytes, window_bp)
    cutter = WindowCutter(windows, contigs, halo_bp, out_dir / "windows")
    for number, part in enumerate(parts):
        cutter.cut(part, f"{number:05d}.bam")
    unplaced = cutter.close()
    called = []
    for window, folder in zip(windows, cutter.folders, strict=True):
        cut = sorted((folder / "parts").iterdir())
        called.append(call_one(cut, window, folder / "called"))
        shutil.rmtree(folder / "parts")
    summary = _join(called, unplaced if shard.is_last else _Unplaced(), out_dir)
    shutil.rmtree(out_dir / "windows")
    return summary


def choose_windows(
    parts: Sequence[Path], shard: Shard, contigs: Sequence[Contig], halo_bp: int, window_bytes: int, window_bp: int
) -> list[Shard]:
    """Cut the shard where the bytes of a window and its halo reach the limit."""
    cell_bp = max(_LEAST_CELL_BP, shard.length // _MOST_CELLS)
    cells = [
        Interval(interval.contig, start, min(start + cell_bp, interval.end))
        for interval in shard.intervals
        for start in range(interval.start, interval.end, cell_bp)
    ]
    genome = Cover((), contigs)
    number = {contig.name: i for i, contig in enumerate(contigs)}
    starts = genome.linear(
        np.array([number[cell.contig] for cell in cells]), np.array([cell.start for cell in cells], dtype=np.int64)
    )
    held = np.zeros(len(cells), dtype=np.int64)
    for part in parts:
        for records in BamStream(part):
            placed = records.head["ref"] >= 0
            at = genome.linear(records.head["ref"][placed], records.head["pos"][placed].astype(np.int64))
            # Records of the shard's own halo count as of its first or last cell.
            cell = np.maximum(np.searchsorted(starts, at, side="right") - 1, 0)
            held += np.bincount(cell, records.sizes[placed], len(cells)).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(held)])
    beside = -(-2 * halo_bp // cell_bp)  # cells whose records may reach into the halo: a record is shorter than it
    windows: list[Shard] = []
    first = 0
    while first < len(cells):
        room = before[max(0, first - beside)] + window_bytes
        last = int(np.searchsorted(before, room, side="right")) - 1  # cells before it fit
        stop = len(cells) if last == len(cells) else last - beside
        stop = max(first + 1, min(stop, first + max(1, window_bp // cell_bp)))
        windows.append(Shard(len(windows), tuple(_merged(cells[first:stop])), is_last=False))
        first = stop
    return windows


def _merged(cells: Sequence[Interval]) -> Iterator[Interval]:
    """Cells that touch, as one interval."""
    waiting = cells[0]
    for cell in cells[1:]:
        if cell.contig == waiting.contig and cell.start == waiting.end:
            waiting = Interval(waiting.contig, waiting.start, cell.end)
        else:
            yield waiting
            waiting = cell
    yield waiting


@dataclass(frozen=True, slots=True)
class _Unplaced:
    """Reads without a place: they are neither duplicates nor called, only copied."""

    bam: Path | None = None
    records: int = 0
    primary: int = 0


class WindowCutter:
    """Cuts parts into the windows' parts, with halo, and copies the unplaced reads of all into one BAM."""

    def __init__(self, windows: Sequence[Shard], contigs: Sequence[Contig], halo_bp: int, folder: Path) -> None:
        self.folders = [folder / f"{window.number:05d}" for window in windows]
        for one in self.folders:
            (one / "parts").mkdir(parents=True)
        self._covers = [Cover(window.intervals, contigs, halo_bp) for window in windows]
        self._low = np.array([cover.hull[0] for cover in self._covers])
        self._high = np.array([cover.hull[1] for cover in self._covers])
        self._genome = Cover((), contigs)
        self._unplaced_path = folder / "unplaced.bam"
        self._unplaced: BgzfWriter | None = None
        self._counts = [0, 0]

    def cut(self, part: Path, name: str) -> None:
        """Write every window's records of a part; a window without any gets the header."""
        stream = BamStream(part)
        open_: dict[int, BgzfWriter] = {}
        begun = 0  # windows before have their file
        try:
            for records in stream:
                self._copy_unplaced(stream.header, records)
                start = self._genome.linear(records.head["ref"], records.head["pos"].astype(np.int64))
                end = self._genome.linear(records.head["ref"], spans_of(records).end)
                placed = start >= 0
                if not placed.any():
                    continue
                lowest, highest = int(start[placed].min()), int(end[placed].max())
                for window in [window for window in open_ if self._high[window] <= lowest]:
                    open_.pop(window).close()
                until = int(np.searchsorted(self._low, highest))
                for window in range(begun, until):
                    open_[window] = self._begin(window, name, stream.header)
                begun = max(begun, until)
                for window, writer in open_.items():
                    for piece in _bytes_of(records, np.flatnonzero(self._covers[window].overlaps(start, end))):
                        writer.write(piece)
            for window in range(begun, len(self._covers)):
                self._begin(window, name, stream.header).close()
        finally:
            for writer in open_.values():
                writer.close()

    def _begin(self, window: int, name: str, header: bytes) -> BgzfWriter:
        return _begin_bam(self.folders[window] / "parts" / name, header)

    def _copy_unplaced(self, header: bytes, records: Records) -> None:
        rows = np.flatnonzero(records.head["ref"] < 0)
        if not len(rows):
            return
        if self._unplaced is None:
            self._unplaced = _begin_bam(self._unplaced_path, header)
        primary = records.head["flag"][rows] & NOT_PRIMARY == 0
        self._counts[0] += len(rows)
        self._counts[1] += int(primary.sum())
        for piece in _without_mate_facts(records, rows, primary):
            self._unplaced.write(piece)

    def close(self) -> _Unplaced:
        """What there was of unplaced reads."""
        if self._unplaced is None:
            return _Unplaced()
        self._unplaced.close()
        return _Unplaced(self._unplaced_path, *self._counts)


def _begin_bam(path: Path, header: bytes) -> BgzfWriter:
    writer = BgzfWriter(path, _LEVEL)
    writer.write(header)
    writer.end_block()
    return writer


def _bytes_of(records: Records, rows: NDArray[np.int64]) -> Iterator[memoryview]:
    """The chosen records; neighbours go together."""
    view = memoryview(records.buffer.data)
    starts, stops = records.offsets[rows], records.offsets[rows] + records.sizes[rows]
    breaks = np.flatnonzero(starts[1:] != stops[:-1]) + 1
    firsts, lasts = np.concatenate([[0], breaks]), np.concatenate([breaks, [len(rows)]]) - 1
    if len(rows):
        for first, last in zip(starts[firsts].tolist(), stops[lasts].tolist(), strict=True):
            yield view[first:last]


def _without_mate_facts(records: Records, rows: NDArray[np.int64], primary: NDArray[np.bool_]) -> Iterator[bytes]:
    """The chosen records, primary ones without their last tag, which was for duplicate marking only."""
    view = memoryview(records.buffer.data)
    starts = records.offsets[rows]
    sizes = records.sizes[rows] - np.where(primary, MATE_FACTS_BYTES, 0)
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        yield (size - 4).to_bytes(4, "little") + view[start + 4 : start + size]


def _join(called: Sequence[CallSummary], unplaced: _Unplaced, out_dir: Path) -> CallSummary:
    """The windows' files and counts as the shard's."""
    bam, vcf, gvcf = (out_dir / name for name in ("shard.bam", "shard.vcf.gz", "shard.g.vcf.gz"))
    bams = [window.bam for window in called] + ([unplaced.bam] if unplaced.bam else [])
    run_samtools("cat", "--no-PG", "-o", str(bam), *map(str, bams))
    _concatenate([window.vcf for window in called], vcf)
    blocks = gather_gvcfs([window.gvcf for window in called], gvcf)
    blocks.index.unlink()
    total = called[0]
    for window in called[1:]:
        total = _added(total, window)
    return replace(
        total,
        bam=bam,
        vcf=vcf,
        gvcf=gvcf,
        gvcf_records=blocks.records,
        reads=replace(
            total.reads,
            records=total.reads.records + unplaced.records,
            primary=total.reads.primary + unplaced.primary,
            unplaced=total.reads.unplaced + unplaced.records,
        ),
    )


def _concatenate(vcfs: Sequence[Path], out: Path) -> None:
    """Write the records of all under the first one's header, as they come: the gather sorts."""
    from isal import igzip

    def lines() -> Iterator[str]:
        for number, path in enumerate(vcfs):
            with igzip.open(path, "rt", encoding="ascii") as text:
                header, body = split_header(text)
                if number == 0:
                    yield from header
                yield from body

    write_bgzf(out, text_pieces(lines()), _LEVEL)


def _added(one: Any, other: Any) -> Any:
    """The sum of two summaries, number by number; lists go on, files are the first one's."""
    match one:
        case Path():
            return one
        case int():
            return one + other
        case list():
            return one + other
        case tuple():
            return tuple(map(_added, one, other))
        case dict():
            return {key: one.get(key, 0) + other.get(key, 0) for key in one | other}
        case _ if is_dataclass(one) and not isinstance(one, type):
            return type(one)(*(_added(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)))
    raise TypeError(f"{type(one).__name__} cannot be summed over windows")
