"""Which reads the caller is shown where there are more than it can count.

htslib's error model counts 255 reads a position. Of more it draws 255 with a generator whose state is that of the whole
walk, so that a call at a deep place would depend on what was called before it: on shards and targets. Here reads are
left out before, each by its own name and the depth around it alone: the same ones whatever is called with it.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.packed import FIXED, Records

MOST_READS = 255
"""What the error model counts (errmod_cal of htslib)."""

_KEPT_READS = 150
"""Expected depth where reads are left out: six standard deviations below `MOST_READS`, mates being kept together."""

_WORD = 8
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


def thin(records: Records, end: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that the caller is shown: all but where more than `MOST_READS` lie over a position.

    Args:
        records: In coordinate order.
        end: Reference end of each record (half-open).
        rows: Placed records, ascending.
    """
    deepest = _deepest(records.head["ref"][rows], records.head["pos"][rows].astype(np.int64), end[rows])
    deep = np.flatnonzero(deepest > MOST_READS)
    if not len(deep):
        return rows
    kept = np.ones(len(rows), dtype=bool)
    kept[deep] = _shares(records, rows[deep]) < _KEPT_READS / deepest[deep]
    return rows[kept]


def _deepest(ref: NDArray[np.int32], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each record the most records that lie over one of its positions; exact above `MOST_READS`, else any below."""
    found = np.zeros(len(ref), dtype=np.int64)
    edges = np.searchsorted(ref, np.unique(ref), side="left").tolist()
    for low, high in pairwise([*edges, len(ref)]):
        begin, stop = start[low:high], end[low:high]
        # Depth grows only where a record starts, so its highest value is at a start.
        depth = np.searchsorted(begin, begin, side="right") - np.searchsorted(np.sort(stop), begin, side="right")
        deep = np.concatenate([[0], np.cumsum(depth > MOST_READS)])
        first, last = np.searchsorted(begin, begin, side="left"), np.searchsorted(begin, stop, side="left")
        touched = np.flatnonzero(deep[last] > deep[first])
        if len(touched):
            edges_of = np.stack([first[touched], last[touched]], axis=1).ravel()
            padded = np.append(depth, 0)  # an end may be the array's
            found[low + touched] = np.maximum.reduceat(padded, edges_of)[::2]
    return found


def _shares(records: Records, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number from 0 to 1 for each row that follows from its name; mates have the same."""
    length = records.head["name_length"][rows].astype(np.int64)
    at = records.offsets[rows] + FIXED.itemsize
    number = np.zeros(len(rows), dtype=np.uint64)
    buffer = records.buffer
    for word in range(0, int(length.max(initial=1)), _WORD):
        letters = np.zeros((len(rows), _WORD), dtype=np.uint8)
        for k in range(_WORD):
            inside = word + k < length
            letters[inside, k] = buffer[at[inside] + word + k]
        mixed = (number ^ letters.view("<u8").ravel().astype(np.uint64)) * _FACTOR
        number = np.where(word < length, mixed ^ (mixed >> np.uint64(29)), number)
    number = (number ^ (number >> np.uint64(32))) * _MIX
    number ^= number >> np.uint64(29)
    return (number >> np.uint64(11)).astype(np.float64) / float(1 << 53)
