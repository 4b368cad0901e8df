"""Depth of coverage over the positions of a shard that have a known base (A, C, G, T)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.packed import DUPLICATE, QC_FAIL, SECONDARY, UNMAPPED, Records, aligned_blocks
from shared.domain.genome import Interval
from shared.domain.qc import DEEPEST
from shared.errors import PermanentError

HISTOGRAM_BINS = DEEPEST + 1
"""Bins 0 to 499 count one depth each, the last counts 500 and above."""

_NOT_COUNTED = UNMAPPED | SECONDARY | QC_FAIL | DUPLICATE


@dataclass(frozen=True, slots=True)
class Depth:
    """Depth over known bases, reads.

    It counts aligned bases (M, =, X) of mapped, non-secondary, non-duplicate records, whatever their mapping quality;
    where mates overlap, both count.

    Attributes:
        callable_bp: Positions with A, C, G or T in the reference.
        depth_sum: Sum of the depths of these.
        histogram: Positions by depth, see `HISTOGRAM_BINS`.
    """

    callable_bp: int
    depth_sum: int
    histogram: tuple[int, ...]


def fetch(reference: Path, interval: Interval) -> bytes:
    """The letters of an interval (0-based half-open) of a plain FASTA, by its `.fai`.

    Raises:
        PermanentError: When the contig is not in the `.fai`, or the FASTA is cut off.
    """
    _, offset, bases, width = _entry(reference, interval.contig)
    first = offset + interval.start // bases * width + interval.start % bases
    last = offset + interval.end // bases * width + interval.end % bases
    with reference.open("rb") as source:
        source.seek(first)
        letters = source.read(last - first).replace(b"\n", b"")
    if len(letters) != interval.length:
        raise PermanentError(
            f"{reference.name} is shorter than its .fai says: {interval.contig}:{interval.start}-"
            f"{interval.end} (0-based half-open) has {len(letters)} letters. Build the reference index again."
        )
    return letters


def contig_length(reference: Path, contig: str) -> int:
    """The length of a contig, bp, by the `.fai`.

    Raises:
        PermanentError: When the contig is not in the `.fai`.
    """
    return _entry(reference, contig)[0]


def _entry(reference: Path, contig: str) -> tuple[int, int, int, int]:
    """Length, offset, bases and bytes of a line, of a contig by the `.fai`."""
    index = reference.with_name(reference.name + ".fai")
    try:
        return _entries(index, index.stat().st_mtime_ns)[contig]
    except KeyError as error:
        message = f"{reference.name}.fai lacks contig '{contig}'. Build the reference index again."
        raise PermanentError(message) from error


@lru_cache(maxsize=4)
def _entries(index: Path, _modified: int) -> dict[str, tuple[int, int, int, int]]:
    """A whole `.fai`: a panel asks for thousands of intervals."""
    entries = {}
    for line in index.read_text().splitlines():
        name, length, offset, bases, width = line.split("\t")
        entries[name] = (int(length), int(offset), int(bases), int(width))
    return entries


def depth_of(records: Records, contig_names: list[str], intervals: tuple[Interval, ...], reference: Path) -> Depth:
    """Count the depth over `intervals`; `records` holds at least every record that overlaps them."""
    number = {name: i for i, name in enumerate(contig_names)}
    rows, starts, ends = aligned_blocks(records)
    kept = records.head["flag"][rows] & _NOT_COUNTED == 0
    ref, starts, ends = records.head["ref"][rows[kept]], starts[kept], ends[kept]
    order = np.lexsort((starts, ref))
    ref, starts, ends = ref[order], starts[order], ends[order]
    longest = int((ends - starts).max(initial=1))
    histogram = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    total = callable_bp = 0
    for interval in intervals:
        low, high = np.searchsorted(ref, [number[interval.contig], number[interval.contig] + 1])
        first, stop = low + np.searchsorted(starts[low:high], [interval.start - longest, interval.end])
        depths = coverage(starts[first:stop], ends[first:stop], interval)
        letters = np.frombuffer(fetch(reference, interval).upper(), dtype=np.uint8)
        known = depths[np.isin(letters, np.frombuffer(b"ACGT", dtype=np.uint8))]
        callable_bp += len(known)
        total += int(known.sum())
        histogram += np.bincount(np.minimum(known, HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS)
    return Depth(callable_bp, total, tuple(histogram.tolist()))


def coverage(starts: NDArray[np.int64], ends: NDArray[np.int64], interval: Interval) -> NDArray[np.int64]:
    """Blocks over each position of the interval; they may stick out of it."""
    begin = np.clip(starts - interval.start, 0, interval.length)
    stop = np.clip(ends - interval.start, 0, interval.length)
    size = interval.length + 1
    steps = np.bincount(begin, minlength=size) - np.bincount(stop, minlength=size)
    return np.cumsum(steps)[:-1]
