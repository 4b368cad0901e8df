"""Packed BAM records (SAM specification 4.2) as numpy arrays over one buffer, never as objects or text.

Positions are 0-based; ends are half-open. Heavy imports are at the top: this module is only loaded on a worker.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.bgzf import read_bgzf
from shared.domain.genome import Contig, Interval
from shared.errors import PermanentError

PAIRED, PROPER_PAIR, UNMAPPED, MATE_UNMAPPED, REVERSE, MATE_REVERSE = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
FIRST, SECOND, SECONDARY, QC_FAIL, DUPLICATE, SUPPLEMENTARY = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
NOT_PRIMARY = SECONDARY | SUPPLEMENTARY

FIXED = np.dtype(
    [
        ("block_size", "<i4"),
        ("ref", "<i4"),
        ("pos", "<i4"),
        ("name_length", "u1"),
        ("mapq", "u1"),
        ("bin", "<u2"),
        ("cigar_ops", "<u2"),
        ("flag", "<u2"),
        ("bases", "<i4"),
        ("mate_ref", "<i4"),
        ("mate_pos", "<i4"),
        ("template", "<i4"),
    ]
)
"""The fixed head of a record, the four bytes of its block size included."""

_CONSUMES_REFERENCE = np.array([op in "MDN=X" for op in "MIDNSHP=X???????"])
_IS_CLIP = np.array([op in "SH" for op in "MIDNSHP=X???????"])
_IS_ALIGNED = np.array([op in "M=X" for op in "MIDNSHP=X???????"])

_MATE_FACTS = np.dtype(
    [
        ("name", "S2"),
        ("type", "S2"),
        ("count", "<i4"),
        ("start", "<i4"),
        ("end", "<i4"),
        ("own", "<i4"),
        ("mate", "<i4"),
    ]
)
MATE_FACTS_BYTES = _MATE_FACTS.itemsize
_MATE_FACTS_HEAD = np.array((b"md", b"Bi", 4), dtype=[("name", "S2"), ("type", "S2"), ("count", "<i4")])


@dataclass(frozen=True, slots=True)
class Records:
    """Packed records in one buffer.

    Attributes:
        buffer: The records, each with its block size in front.
        offsets: Where each record starts in the buffer, in bytes.
        head: The fixed fields of each record (copies).
    """

    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    head: np.ndarray  # structured, dtype FIXED

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each record, block size included."""
        return self.head["block_size"].astype(np.int64) + 4


@dataclass(frozen=True, slots=True)
class Spans:
    """Where records lie on the reference: `end` as htslib's bam_endpos; clips are the clipped bases at each end."""

    end: NDArray[np.int64]
    left_clip: NDArray[np.int64]
    right_clip: NDArray[np.int64]


def records_of(buffer: bytes | bytearray | NDArray[np.uint8], offsets: NDArray[np.int64]) -> Records:
    """View packed records; `offsets` says where each one starts."""
    data = np.frombuffer(buffer, dtype=np.uint8) if not isinstance(buffer, np.ndarray) else buffer
    if not len(offsets):
        return Records(data, offsets, np.empty(0, dtype=FIXED))
    windows = np.lib.stride_tricks.sliding_window_view(data, FIXED.itemsize)
    return Records(data, offsets, windows[offsets].view(FIXED).ravel())


def find_offsets(data: bytes, start: int) -> NDArray[np.int64]:
    """Where each record starts in `data`, from `start` on."""
    offsets = []
    unpack, at, size = struct.Struct("<i").unpack_from, start, len(data)
    while at < size:
        offsets.append(at)
        at += 4 + unpack(data, at)[0]
    if at != size:
        raise PermanentError("A BAM part ends inside a record. Make it again.")
    return np.array(offsets, dtype=np.int64)


def cigar_columns(records: Records) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """For k = 0, 1, ...: the k-th CIGAR operation of all records that have one.

    Yields:
        Record numbers, operations (as in BAM, 0 is M), lengths.
    """
    counts = records.head["cigar_ops"]
    if not len(records) or not counts.any():
        return
    windows = np.lib.stride_tricks.sliding_window_view(records.buffer, 4)
    start = records.offsets + FIXED.itemsize + records.head["name_length"]
    rows = np.arange(len(records), dtype=np.int64)
    for k in range(int(counts.max())):
        rows = rows[counts[rows] > k]
        words = windows[start[rows] + 4 * k].view("<u4").ravel().astype(np.int64)
        yield rows, words & 15, words >> 4


def spans_of(records: Records) -> Spans:
    """The reference span and the clips of each record, from its CIGAR."""
    length = np.zeros(len(records), dtype=np.int64)
    left = np.zeros(len(records), dtype=np.int64)
    right = np.zeros(len(records), dtype=np.int64)
    leading = np.ones(len(records), dtype=bool)
    for rows, ops, sizes in cigar_columns(records):
        clip = _IS_CLIP[ops]
        length[rows] += np.where(_CONSUMES_REFERENCE[ops], sizes, 0)
        leading[rows] &= clip
        left[rows] += np.where(leading[rows], sizes, 0)
        right[rows] = np.where(clip, right[rows] + sizes, 0)
    # An alignment without reference bases counts as one base long (bam_endpos).
    end = records.head["pos"].astype(np.int64) + np.maximum(length, 1)
    return Spans(end, left, right)


def aligned_blocks(records: Records) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every stretch of aligned bases (M, =, X): (record numbers, starts, ends), 0-based half-open."""
    at = records.head["pos"].astype(np.int64)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    for rows, ops, sizes in cigar_columns(records):
        aligned = _IS_ALIGNED[ops]
        found.append((rows[aligned], at[rows[aligned]], at[rows[aligned]] + sizes[aligned]))
        at[rows] += np.where(_CONSUMES_REFERENCE[ops], sizes, 0)
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing
    rows, starts, ends = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows, starts, ends


def coordinate_order(ref: NDArray[np.int32], pos: NDArray[np.int32]) -> NDArray[np.int64]:
    """The order by (reference, position), unplaced records last, ties as they came."""
    last = np.int64((1 << 31) - 1)  # behind every reference number
    key = np.where(ref < 0, last, ref.astype(np.int64)) << 32 | (pos.astype(np.int64) + 1)
    return np.argsort(key, kind="stable")


def mate_facts_tags(
    start: NDArray[np.int64], end: NDArray[np.int64], own: NDArray[np.int64], mate: NDArray[np.int64]
) -> bytes:
    """The tag `md:B:i,start,end,own,mate` of each primary record, all of one size, end to end.

    It holds what duplicate marking needs of the mate: its unclipped start and end on the reference (as samtools
    markdup counts them) and the quality scores of the record and of its mate. It is the last tag of a record.
    """
    tags = np.empty(len(start), dtype=_MATE_FACTS)
    for field in ("name", "type", "count"):
        tags[field] = _MATE_FACTS_HEAD[field]
    tags["start"], tags["end"], tags["own"], tags["mate"] = start, end, own, mate
    return tags.tobytes()


def read_mate_facts(records: Records, rows: NDArray[np.int64]) -> np.ndarray:
    """The facts that `mate_facts_tags` wrote, for the primary records `rows`."""
    if not len(rows):
        return np.empty(0, dtype=_MATE_FACTS)
    windows = np.lib.stride_tricks.sliding_window_view(records.buffer, MATE_FACTS_BYTES)
    ends = records.offsets[rows] + records.sizes[rows]
    facts: np.ndarray = windows[ends - MATE_FACTS_BYTES].view(_MATE_FACTS).ravel()
    if not ((facts["name"] == b"md") & (facts["type"] == b"Bi")).all():
        raise PermanentError("A primary alignment in a BAM part has no mate facts (tag md). Align the chunk again.")
    return facts


def bam_header(text: str, contigs: Sequence[Contig]) -> bytes:
    """The binary BAM header."""
    encoded = text.encode("ascii")
    out = [b"BAM\x01", struct.pack("<i", len(encoded)), encoded, struct.pack("<i", len(contigs))]
    for contig in contigs:
        name = contig.name.encode("ascii") + b"\0"
        out.append(struct.pack("<i", len(name)) + name + struct.pack("<i", contig.length))
    return b"".join(out)


def read_bam(path: Path) -> tuple[str, tuple[tuple[str, int], ...], bytes, int]:
    """A whole BAM: header text, (contig name, length) pairs, the decompressed bytes, and where the records start.

    Raises:
        PermanentError: When it is damaged or no BAM.
    """
    data = read_bgzf(path)
    if data[:4] != b"BAM\x01":
        raise PermanentError(f"{path.name} is no BAM file. Make it again.")
    (text_size,) = struct.unpack_from("<i", data, 4)
    text = data[8 : 8 + text_size].decode("ascii")
    at = 8 + text_size
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    contigs = []
    for _ in range(count):
        (name_size,) = struct.unpack_from("<i", data, at)
        name = data[at + 4 : at + 3 + name_size].decode("ascii")
        (length,) = struct.unpack_from("<i", data, at + 4 + name_size)
        contigs.append((name, length))
        at += 8 + name_size
    return text, tuple(contigs), data, at


class Cover:
    """A set of intervals on the genome, to ask which records lie in it or overlap it.

    The genome is laid end to end, with a gap of one between contigs so that touching contigs do not merge.
    """

    def __init__(self, intervals: Iterable[Interval], contigs: Sequence[Contig], halo_bp: int = 0) -> None:
        lengths = np.array([contig.length for contig in contigs], dtype=np.int64)
        self._base = np.concatenate([[0], np.cumsum(lengths + 1)])[:-1]
        number = {contig.name: i for i, contig in enumerate(contigs)}
        pieces: list[tuple[int, int]] = []
        for interval in intervals:
            if interval.contig not in number:
                raise PermanentError(
                    f"Interval {interval.contig}:{interval.start}-{interval.end} (0-based half-open) names a contig "
                    "that the reference lacks. Was it made for another reference?"
                )
            i = number[interval.contig]
            wide = interval.padded(halo_bp, contigs[i].length)
            pieces.append((int(self._base[i]) + wide.start, int(self._base[i]) + wide.end))
        merged: list[list[int]] = []
        for start, end in sorted(pieces):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        self._starts = np.array([piece[0] for piece in merged], dtype=np.int64)
        self._ends = np.array([piece[1] for piece in merged], dtype=np.int64)

    @property
    def hull(self) -> tuple[int, int]:
        """Start and end of the whole, on the genome laid end to end."""
        return int(self._starts[0]), int(self._ends[-1])

    def linear(self, ref: NDArray[np.int32], place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of placed records on the genome laid end to end; -1 for unplaced ones."""
        return np.where(ref >= 0, self._base[ref] + place, -1)

    def holds(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places (from `linear`) lie in an interval."""
        i = np.searchsorted(self._starts, places, side="right") - 1
        return (i >= 0) & (places < self._ends[np.maximum(i, 0)])

    def overlaps(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which spans (from `linear`) share a base with an interval."""
        i = np.searchsorted(self._ends, starts, side="right")
        last = len(self._ends) - 1
        return (starts >= 0) & (i <= last) & (self._starts[np.minimum(i, last)] < ends)
