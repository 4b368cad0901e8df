"""Where a pileup is needed: windows outside of which the caller can only say "reference", and the depth there.

Piling up every position is most of the cost of calling, and nearly all positions agree with the reference. Which
positions could give anything else is decided here from the packed records. The caller's result over the windows,
joined with blocks made of the depth outside, is what a pileup of everything gives, byte for byte. For that, a window
holds

- every position where some genotype could beat the homozygous reference by the caller's prior (bounds.py);
- whole reads, from the first to the last base, wherever the caller may realign them (BAQ) or test an indel: an indel
  in a read at that position is necessary for both;
- positions with bases that the caller may not count (quality 0 or 1 once mates were compared) or cannot name (N);
- positions deeper than 255 reads, of which it draws 255 with a generator whose state is that of the whole walk;
- records that share a name with two others: which two of them it compares depends on what it read in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.bounds import MOST_QUALITY, SURE_QUALITY, could_vary
from batch_worker.engine.depth import contig_length, coverage, fetch
from batch_worker.engine.packed import FIXED, Records, cigar_columns
from shared.domain.genome import Contig, Interval

_TILE_BP = 1 << 18
_ROWS_AT_ONCE = 1 << 14  # reads compared with the reference at once: some MB
_MARGIN_BP = 2  # a base's quality is capped by its neighbours'
_SHUFFLED_DEPTH = 255  # errmod_cal of htslib draws bases at random beyond
_CROWDED_DEPTH = 2_000
_SURE_MAPQ = 20
_DOUBTFUL_QUALITY = 1
_CONSUMES_QUERY = np.array([op in "MIS=X" for op in "MIDNSHP=X???????"])
_CONSUMES_REFERENCE = np.array([op in "MDN=X" for op in "MIDNSHP=X???????"])
_IS_ALIGNED = np.array([op in "M=X" for op in "MIDNSHP=X???????"])
_IS_INDEL = np.array([op in "IDNP" for op in "MIDNSHP=X???????"])
_SOFT_CLIP = 4
_BASE_PAIRS = np.array([byte >> 4 | (byte & 15) << 8 for byte in range(256)], dtype="<u2")
_CODES = np.zeros(256, dtype=np.uint8)  # as BAM writes bases; 0 for what is not A, C, G, T
_CODES[list(b"ACGTacgt")] = [1, 2, 4, 8] * 2
_NAMED = np.isin(np.arange(16), [1, 2, 4, 8])
_NAME_FACTORS = np.random.default_rng(1).integers(1, 2**63, 32, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the reads say about an interval.

    Attributes:
        interval: Positions of the arrays.
        windows: Whether a position must be piled up.
        depth: What the caller counts as depth, reads; true outside of windows only.
        unnamed: Where every base may be an N.
    """

    interval: Interval
    windows: NDArray[np.bool_]
    depth: NDArray[np.uint8]
    unnamed: NDArray[np.bool_]

    def intervals(self) -> list[Interval]:
        """The windows, in order."""
        edges = np.flatnonzero(np.diff(self.windows, prepend=False, append=False)) + self.interval.start
        contig = self.interval.contig
        return [Interval(contig, start, end) for start, end in edges.reshape(-1, 2).tolist()]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Every stretch of aligned bases: its record, where it starts on the reference and in the read, its length."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    query: NDArray[np.int64]
    length: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "_Blocks":
        """These blocks only."""
        return _Blocks(self.row[chosen], self.start[chosen], self.query[chosen], self.length[chosen])


def find_evidence(
    records: Records,
    end: NDArray[np.int64],
    *,
    walked: Sequence[Interval],
    contigs: Sequence[Contig],
    reference: Path,
    prior: float,
    max_depth: int,
) -> list[Evidence]:
    """The windows and the depth of every walked interval.

    Args:
        records: Those that the caller sees, in coordinate order; all that overlap the walked intervals.
        end: Reference end of each record (half-open).
        walked: What the caller walks over.
        contigs: Of the reference, in order.
        reference: Plain FASTA with its `.fai`.
        prior: Expected share of positions that differ, as the caller is told.
        max_depth: Reads that the caller keeps; where it may drop reads, whole reads are in windows.
    """
    reads = _Reads(records, end, min(_CROWDED_DEPTH, max_depth // 2))
    number = {contig.name: i for i, contig in enumerate(contigs)}
    return [reads.evidence(interval, number[interval.contig], reference, prior) for interval in walked]


class _Reads:
    """The records with what is needed of their CIGARs and mates."""

    def __init__(self, records: Records, end: NDArray[np.int64], crowded: int) -> None:
        self.records = records
        self.end = end
        self.crowded = crowded
        self.ref = records.head["ref"].astype(np.int64)
        self.start = records.head["pos"].astype(np.int64)
        self.longest = int((end - self.start).max(initial=1))
        self.has_indel = np.zeros(len(records), dtype=bool)
        self.has_clip = np.zeros(len(records), dtype=bool)
        self.sequence = records.offsets + FIXED.itemsize + records.head["name_length"]
        self.sequence += 4 * records.head["cigar_ops"].astype(np.int64)
        self.bases = records.head["bases"].astype(np.int64)
        self._read_cigars()
        self._compare_mates()

    def _read_cigars(self) -> None:
        blocks: list[tuple[NDArray[np.int64], ...]] = []
        indels: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        at, query = self.start.copy(), np.zeros(len(self.records), dtype=np.int64)
        for rows, ops, sizes in cigar_columns(self.records):
            aligned, indel = _IS_ALIGNED[ops], _IS_INDEL[ops]
            blocks.append((rows[aligned], at[rows[aligned]], query[rows[aligned]], sizes[aligned]))
            self.has_indel[rows[indel]] = True
            self.has_clip[rows[ops == _SOFT_CLIP]] = True
            indels.append((self.ref[rows[indel]], at[rows[indel]] - 1))  # seen at the base before
            at[rows] += np.where(_CONSUMES_REFERENCE[ops], sizes, 0)
            query[rows] += np.where(_CONSUMES_QUERY[ops], sizes, 0)
        nothing = np.empty(0, dtype=np.int64)
        row, start, inside, length = (
            (np.concatenate(column) for column in zip(*blocks, strict=True)) if blocks else [nothing] * 4
        )
        order = np.lexsort((start, self.ref[row]))
        self.blocks = _Blocks(row, start, inside, length).take(order)
        self.block_ref = self.ref[self.blocks.row]
        places = [np.concatenate(column) for column in zip(*indels, strict=True)] if indels else [nothing] * 2
        order = np.lexsort((places[1], places[0]))
        self.indels = places[0][order], places[1][order]

    def _compare_mates(self) -> None:
        """Find the stretches that two mates cover (the caller counts one), and the records whose name is common."""
        key = self._names()
        order = np.lexsort((self.start, self.ref, key))
        key = key[order]
        same = key[1:] == key[:-1]
        first, second = order[:-1][same], order[1:][same]  # neighbours of one name, by place
        before, after = np.concatenate([[False], same[:-1]])[same], np.concatenate([same[1:], [False]])[same]
        mate = self.records.head["mate_pos"].astype(np.int64)
        are_pair = ~before & ~after & (mate[first] == self.start[second]) & (mate[second] == self.start[first])
        near = (self.ref[first] == self.ref[second]) & (
            self.start[second] - self.end[first] <= 2 * int(self.bases.max(initial=1)) + self.longest
        )
        overlap = near & (self.start[second] < self.end[first])
        plain = are_pair & ~self.has_indel[first] & ~self.has_indel[second]
        # One aligned block each: they start and end as the records do.
        chosen = overlap & plain
        stop = np.minimum(self.end[first], self.end[second])
        shared = np.flatnonzero(chosen)
        shared = shared[np.lexsort((self.start[second[shared]], self.ref[first[shared]]))]
        self.shared = self.ref[first[shared]], self.start[second[shared]], stop[shared]
        stop = np.maximum(self.end[first], self.end[second])
        begin = np.where(are_pair, self.start[second], self.start[first])
        chosen = (overlap & ~plain) | (near & ~are_pair)
        self.entangled = self.ref[first[chosen]], begin[chosen], stop[chosen]

    def _names(self) -> NDArray[np.uint64]:
        """A number for each record's name; equal names have equal numbers."""
        head = self.records.head
        length = head["name_length"].astype(np.int64)
        width = -(-int(length.max(initial=1)) // 8) * 8
        number = np.zeros(len(head), dtype=np.uint64)
        for at in range(0, len(head), _ROWS_AT_ONCE):
            rows = slice(at, at + _ROWS_AT_ONCE)
            names = _cut(self.records.buffer, self.records.offsets[rows] + FIXED.itemsize, width)
            letters = np.where(np.arange(width) < length[rows, None], names, np.uint8(0))
            words = letters.view("<u8").astype(np.uint64)
            mixed = (words ^ (words >> np.uint64(29))) * _NAME_FACTORS[: width // 8]
            number[rows] = mixed.sum(axis=1, dtype=np.uint64)
        return number

    def evidence(self, interval: Interval, ref: int, reference: Path, prior: float) -> Evidence:
        """See `find_evidence`."""
        tiles: list[_Found] = []
        whole: list[NDArray[np.int64]] = []
        for begin in range(interval.start, interval.end, _TILE_BP):
            tile = _Tile(self, Interval(interval.contig, begin, min(interval.end, begin + _TILE_BP)), ref)
            tiles.append(tile.evidence(reference, prior))
            whole.append(tile.realigned())
        found = _Found.joined(tiles)
        rows = np.concatenate(whole)
        _mark(found.windows, interval, self.start[rows], self.end[rows])
        tangled = self.entangled[0] == ref
        _mark(found.windows, interval, self.entangled[1][tangled], self.entangled[2][tangled])
        _widen(found.windows)
        return Evidence(interval, found.windows, found.depth, found.unnamed)


@dataclass(frozen=True, slots=True)
class _Found:
    """By position: see `Evidence`."""

    windows: NDArray[np.bool_]
    depth: NDArray[np.uint8]
    unnamed: NDArray[np.bool_]

    @classmethod
    def joined(cls, tiles: Sequence["_Found"]) -> "_Found":
        """The tiles end to end."""
        return cls(
            np.concatenate([tile.windows for tile in tiles]),
            np.concatenate([tile.depth for tile in tiles]),
            np.concatenate([tile.unnamed for tile in tiles]),
        )


class _Tile:
    """A stretch of an interval, with the reads that overlap it; keeps memory small."""

    def __init__(self, reads: _Reads, interval: Interval, ref: int) -> None:
        self.interval = interval
        self._reads = reads
        self._number = ref
        self._rows = _near(reads.ref, reads.start, ref, interval, reads.longest)
        self._blocks = reads.blocks.take(_near(reads.block_ref, reads.blocks.start, ref, interval, reads.longest))
        start, end = reads.start[self._rows], reads.end[self._rows]
        self._spanning = coverage(start, end, interval)
        indel, clip = reads.has_indel[self._rows], reads.has_clip[self._rows]
        with_indel = coverage(start[indel], end[indel], interval)
        with_clip = coverage(start[clip], end[clip], interval)
        # When mplp_realn of bcftools realigns the reads at a position; more positions than it would take.
        self._realigns = (with_indel >= 1) & (
            (5 * with_clip >= self._spanning) | ((with_indel >= 2) & (10 * with_indel >= self._spanning))
        )
        self._realigns[reads.indels[1][_near(*reads.indels, ref, interval, 0)] - interval.start] = True
        self._realigns |= self._spanning > reads.crowded

    def realigned(self) -> NDArray[np.int64]:
        """The rows that cover a position at which the caller may realign reads."""
        so_far = np.concatenate([[0], np.cumsum(self._realigns)])
        low = np.clip(self._reads.start[self._rows] - self.interval.start, 0, self.interval.length)
        high = np.clip(self._reads.end[self._rows] - self.interval.start, 0, self.interval.length)
        return self._rows[so_far[high] > so_far[low]]

    def evidence(self, reference: Path, prior: float) -> _Found:
        """What can be said without knowing which reads are realigned."""
        tile, reads, blocks = self.interval, self._reads, self._blocks
        depth = coverage(blocks.start, blocks.start + blocks.length, tile)
        shared = _near(reads.shared[0], reads.shared[1], self._number, tile, reads.longest)
        twice = coverage(reads.shared[1][shared], reads.shared[2][shared], tile)
        depth -= twice
        odd, quality, low, doubtful, unnamed = self._differences(reference)
        vague = reads.records.head["mapq"][blocks.row] < _SURE_MAPQ
        low += coverage(blocks.start[vague], (blocks.start + blocks.length)[vague], tile)
        windows = could_vary(depth, odd, quality, low, prior)
        windows[doubtful | (unnamed > 0) | (self._spanning > _SHUFFLED_DEPTH) | self._realigns] = True
        windows[(_codes(reference, tile.contig, tile.start, tile.end) == 0) & (self._spanning > 0)] = True
        return _Found(
            windows,
            np.minimum(depth, 255).astype(np.uint8),
            (unnamed > 0) & (unnamed >= depth),
        )

    def _differences(self, reference: Path) -> tuple[NDArray[np.int64], ...]:
        """By position: bases that differ, the sum of their qualities, bases of low quality, of doubtful, and N."""
        tile, reads, blocks = self.interval, self._reads, self._blocks
        size = tile.length
        odd, low, unnamed = (np.zeros(size, dtype=np.int64) for _ in range(3))
        doubtful = np.zeros(size, dtype=bool)
        quality = np.zeros(size, dtype=np.int64)
        width = int(reads.bases[blocks.row].max(initial=1))
        pad = 2 * width + reads.longest
        letters = _codes(reference, tile.contig, tile.start - pad, tile.end + pad)
        buffer = reads.records.buffer
        windows = np.lib.stride_tricks.sliding_window_view(letters, width)
        for at in range(0, len(blocks.row), _ROWS_AT_ONCE):
            some = blocks.take(np.arange(at, min(at + _ROWS_AT_ONCE, len(blocks.row))))
            offset = some.start - some.query - tile.start  # of a read's first base, from the tile's start
            packed = reads.sequence[some.row]
            quality_at = packed + (reads.bases[some.row] + 1) // 2

            qualities = _cut(buffer, quality_at, width)
            number, column = _where(qualities < SURE_QUALITY, some)
            place = offset[number] + column
            inside = (place >= 0) & (place < size)
            number, column, place = number[inside], column[inside], place[inside]
            low += np.bincount(place, minlength=size)
            doubtful[place[qualities[number, column] <= _DOUBTFUL_QUALITY]] = True

            bases = _BASE_PAIRS[_cut(buffer, packed, (width + 1) // 2)].view(np.uint8)[:, :width]
            number, column = _where(bases != windows[offset + pad], some)
            place = offset[number] + column
            inside = (place >= 0) & (place < size)
            number, column, place = number[inside], column[inside], place[inside]
            odd += np.bincount(place, minlength=size)
            worth = np.minimum(qualities[number, column], MOST_QUALITY)
            quality += np.bincount(place, weights=worth, minlength=size).astype(np.int64)
            unnamed += np.bincount(place[~_NAMED[bases[number, column]]], minlength=size)
        return odd, quality, low, doubtful, unnamed


def _near(
    refs: NDArray[np.int64], starts: NDArray[np.int64], ref: int, interval: Interval, reach: int
) -> NDArray[np.int64]:
    """Which of what is sorted by (reference number, start) starts in the interval or up to `reach` bp before."""
    low, high = np.searchsorted(refs, [ref, ref + 1])
    first, stop = low + np.searchsorted(starts[low:high], [interval.start - reach, interval.end])
    return np.arange(first, stop)


def _where(differs: NDArray[np.bool_], blocks: _Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The true cells (block, place in the read) that lie in the blocks."""
    number, column = np.divmod(np.flatnonzero(differs), differs.shape[1])
    inside = (column >= blocks.query[number]) & (column < blocks.query[number] + blocks.length[number])
    return number[inside], column[inside]


def _cut(buffer: NDArray[np.uint8], starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """`width` bytes from each start; zeros behind the buffer's end."""
    last = len(buffer) - width
    if last < 0:
        buffer, last = np.concatenate([buffer, np.zeros(-last, dtype=np.uint8)]), 0
    cut = np.lib.stride_tricks.sliding_window_view(buffer, width)[np.minimum(starts, last)]
    for number in np.flatnonzero(starts > last).tolist():
        tail = buffer[starts[number] :]
        cut[number, : len(tail)] = tail
        cut[number, len(tail) :] = 0
    return cut


def _codes(reference: Path, contig: str, start: int, end: int) -> NDArray[np.uint8]:
    """The reference as BAM codes bases; 0 for ambiguity codes and outside of the contig."""
    codes = np.zeros(end - start, dtype=np.uint8)
    inside = Interval(contig, max(0, start), min(contig_length(reference, contig), end))
    letters = np.frombuffer(fetch(reference, inside), dtype=np.uint8)
    codes[inside.start - start : inside.end - start] = _CODES[letters]
    return codes


def _mark(windows: NDArray[np.bool_], interval: Interval, start: NDArray[np.int64], stop: NDArray[np.int64]) -> None:
    """Set the stretches in `windows`."""
    if len(start):
        windows |= coverage(start, stop, interval) > 0


def _widen(windows: NDArray[np.bool_]) -> None:
    """Add the margin on both sides of every window."""
    for _ in range(_MARGIN_BP):
        narrow = windows.copy()
        windows[1:] |= narrow[:-1]
        windows[:-1] |= narrow[1:]
