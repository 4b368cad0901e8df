"""Counts of a chunk's reads and alignments for the quality figures; they add up over chunks and read groups."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.chunk_reads import Batch
from batch_worker.engine.packed import DUPLICATE, FIRST, FIXED, NOT_PRIMARY, PROPER_PAIR, UNMAPPED, Records
from shared.domain.qc import LONGEST_INSERT_BP

_IS_G_OR_C = 0xDB  # clears the bits in which G, C, g and c differ: what is left is C
_ROWS_AT_ONCE = 1 << 12
_TAG_BYTES = 3  # two letters and the type
_VALUE_BYTES = np.zeros(256, dtype=np.int64)
_VALUE_BYTES[list(b"AcCsSiIf")] = [1, 1, 1, 2, 2, 4, 4, 4]
_ITEM_BYTES = _VALUE_BYTES  # of the items of an array (type B)


@dataclass(slots=True)
class ReadMetrics:
    """What the reads of one read group look like.

    Attributes:
        bases: Bases in all reads.
        q30_bases: Those of Phred quality 30 or better.
        gc_bases: G and C among them.
        n_bases: N among them.
        primary_mapped: Primary alignments that have a place.
        properly_paired: Those of them that the aligner calls properly paired.
        insert_sizes: Properly paired pairs by the length of their fragment (TLEN), bp; see `LONGEST_INSERT_BP`.
    """

    bases: int = 0
    q30_bases: int = 0
    gc_bases: int = 0
    n_bases: int = 0
    primary_mapped: int = 0
    properly_paired: int = 0
    insert_sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LONGEST_INSERT_BP + 1, dtype=np.int64))

    def add(self, batch: Batch, head: np.ndarray) -> None:
        """Count a batch and its alignments (`Records.head`)."""
        letters = np.frombuffer(b"".join(batch.sequences), dtype=np.uint8)
        self.bases += batch.bases
        self.q30_bases += batch.q30_bases
        self.gc_bases += int(np.count_nonzero(letters & _IS_G_OR_C == ord("C")))
        self.n_bases += int(np.count_nonzero(letters == ord("N")))
        flag = head["flag"]
        primary = flag & (NOT_PRIMARY | UNMAPPED) == 0
        proper = primary & (flag & PROPER_PAIR != 0)
        self.primary_mapped += int(np.count_nonzero(primary))
        self.properly_paired += int(np.count_nonzero(proper))
        lengths = np.abs(head["template"][proper & (flag & FIRST != 0)])
        self.insert_sizes += np.bincount(np.minimum(lengths, LONGEST_INSERT_BP), minlength=LONGEST_INSERT_BP + 1)

    def counts(self) -> dict[str, int]:
        """The counts by name, as a marker has them."""
        return {
            "bases": self.bases,
            "q30_bases": self.q30_bases,
            "gc_bases": self.gc_bases,
            "n_bases": self.n_bases,
            "primary_mapped": self.primary_mapped,
            "properly_paired": self.properly_paired,
        }

    def histogram(self) -> tuple[int, ...]:
        """The insert sizes without the empty bins at the end."""
        return tuple(np.trim_zeros(self.insert_sizes, "b").tolist())


def duplicates_by_read_group(records: Records, owned: NDArray[np.bool_]) -> dict[str, int]:
    """How many of the owned records are duplicates, by the id in their RG tag; records without one are left out."""
    rows = np.flatnonzero(owned & (records.head["flag"] & DUPLICATE != 0))
    found: dict[str, int] = {}
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        for group, count in _groups(records, rows[at : at + _ROWS_AT_ONCE]).items():
            found[group] = found.get(group, 0) + count
    return dict(sorted(found.items()))


def _groups(records: Records, rows: NDArray[np.int64]) -> dict[str, int]:
    """Records by read group: the tags of all rows are walked side by side."""
    head = records.head[rows]
    bases = head["bases"].astype(np.int64)
    begin = records.offsets[rows] + FIXED.itemsize + head["name_length"] + 4 * head["cigar_ops"].astype(np.int64)
    begin += (bases + 1) // 2 + bases
    stop = records.offsets[rows] + records.sizes[rows]
    # The tags end to end in a buffer of their own, with some bytes behind so that a look ahead stays inside.
    length = stop - begin
    ends = np.cumsum(length)
    source = np.repeat(begin - (ends - length), length) + np.arange(int(length.sum()))
    tags = np.concatenate([records.buffer[source], np.zeros(8, dtype=np.uint8)])
    zeros = np.flatnonzero(tags == 0)
    at = ends - length
    groups: dict[str, int] = {}
    while len(at):
        alive = at + _TAG_BYTES < ends
        at, ends = at[alive], ends[alive]
        kind = tags[at + 2]
        text = (kind == ord("Z")) | (kind == ord("H"))
        after_text = zeros[np.minimum(np.searchsorted(zeros, at + _TAG_BYTES), len(zeros) - 1)] + 1
        is_group = (tags[at] == ord("R")) & (tags[at + 1] == ord("G")) & text
        for first, last in zip(at[is_group].tolist(), after_text[is_group].tolist(), strict=True):
            name = tags[first + _TAG_BYTES : last - 1].tobytes().decode("ascii")
            groups[name] = groups.get(name, 0) + 1
        items = tags[(at + _TAG_BYTES + 1)[:, None] + np.arange(4)].view("<u4").ravel().astype(np.int64)
        array_bytes = 5 + items * _ITEM_BYTES[tags[at + _TAG_BYTES]]
        next_at = np.where(
            text, after_text, at + _TAG_BYTES + np.where(kind == ord("B"), array_bytes, _VALUE_BYTES[kind])
        )
        at, ends = next_at[~is_group], ends[~is_group]
    return groups
