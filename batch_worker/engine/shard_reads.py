"""One shard's reads: its parts merged in coordinate order, duplicates flagged, and which records the shard owns.

What every caller starts from. Duplicates are marked on all records of the halo, so that a border changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.duplicates import find_duplicates, set_duplicate_flags
from batch_worker.engine.header import (
    SamReadGroup,
    aligner_program_of,
    duplicates_program,
    header_text,
    parse_read_groups,
)
from batch_worker.engine.packed import (
    DUPLICATE,
    MATE_FACTS_BYTES,
    NOT_PRIMARY,
    UNMAPPED,
    Cover,
    Records,
    bam_header,
    coordinate_order,
    find_offsets,
    read_bam,
    records_of,
    spans_of,
)
from batch_worker.engine.read_metrics import duplicates_by_read_group
from shared.domain.genome import Contig, Interval, Shard
from shared.errors import PermanentError

_WRITE_RECORDS = 4_096  # records joined per write: about 2 MB
_HALO_SPANS = 3  # longest alignments that must fit into the halo


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """Counts of owned records: those that start in the shard, and the unplaced ones in the last shard.

    Attributes:
        group_duplicates: Duplicates by read group.
    """

    records: int
    primary: int
    primary_mapped: int
    duplicates: int
    unplaced: int
    group_duplicates: dict[str, int]


@dataclass(frozen=True, slots=True)
class ShardReads:
    """All records of a shard and its halo, in coordinate order, ties in the order of the parts.

    Attributes:
        records: Packed, with duplicate flags, without mate facts.
        end: Reference end of each record (half-open).
        owned: Which records the shard owns.
        text: SAM header, without dates or paths.
        contigs: Of the reference, in order.
    """

    records: Records
    end: NDArray[np.int64]
    owned: NDArray[np.bool_]
    text: str
    contigs: Sequence[Contig]

    @property
    def counts(self) -> ReadCounts:
        """What the shard owns."""
        head = self.records.head[self.owned]
        flag = head["flag"]
        primary = flag & NOT_PRIMARY == 0
        return ReadCounts(
            records=len(head),
            primary=int(primary.sum()),
            primary_mapped=int((primary & (flag & UNMAPPED == 0)).sum()),
            duplicates=int((flag & DUPLICATE != 0).sum()),
            unplaced=int((head["ref"] < 0).sum()),
            group_duplicates=duplicates_by_read_group(self.records, self.owned),
        )

    def count_on_target(self, targets: Sequence[Interval] | None) -> int:
        """Owned mapped primary records, duplicates included, that share a base with a target; 0 without targets."""
        if not targets:
            return 0
        head = self.records.head
        rows = np.flatnonzero(self.owned & (head["ref"] >= 0) & (head["flag"] & (NOT_PRIMARY | UNMAPPED) == 0))
        cover = Cover(targets, self.contigs)
        start = cover.linear(head["ref"][rows], head["pos"][rows].astype(np.int64))
        return int(cover.overlaps(start, cover.linear(head["ref"][rows], self.end[rows])).sum())

    def write(self, path: Path, rows: NDArray[np.int64], level: int) -> None:
        """Write the records `rows` as BAM, compressed at `level` (0 stores)."""
        write_bgzf(path, bam_pieces(bam_header(self.text, self.contigs), self.records, rows), level)


def read_shard(parts: Sequence[Path], *, shard: Shard, contigs: Sequence[Contig], halo_bp: int) -> ShardReads:
    """Merge a shard's parts and mark duplicates.

    Args:
        parts: This shard's part of every chunk, in the order (read group, chunk); it breaks ties of equal position.
        shard: Which part of the genome.
        contigs: Of the reference, in order.
        halo_bp: What the parts were cut with; at least three times the longest alignment.

    Raises:
        PermanentError: When a part is damaged, belongs to another reference, or was cut with too small a halo.
    """
    if not parts:
        raise PermanentError(f"Shard {shard.number} has no parts to call; every chunk leaves one per shard.")
    text, records = _merge(parts, contigs)
    spans = spans_of(records)
    _check_halo(records, spans.end, halo_bp, shard)
    set_duplicate_flags(records, find_duplicates(records, spans))
    _drop_mate_facts(records)
    return ShardReads(records, spans.end, owned_rows(records, shard, contigs), text, contigs)


def owned_rows(records: Records, shard: Shard, contigs: Sequence[Contig]) -> NDArray[np.bool_]:
    """Which records the shard owns: by their start; the last shard also has the unplaced ones."""
    cover = Cover(shard.intervals, contigs)
    owned = cover.holds(cover.linear(records.head["ref"], records.head["pos"].astype(np.int64)))
    if shard.is_last:
        owned |= records.head["ref"] < 0
    return owned


def _check_halo(records: Records, end: NDArray[np.int64], halo_bp: int, shard: Shard) -> None:
    """Refuse a halo in which records at its outer edge could change what is called inside the shard."""
    placed = records.head["ref"] >= 0
    longest = int((end - records.head["pos"])[placed].max(initial=0))
    # A record that reaches into the shard may have a mate one span out, whose duplicates may lie another span away.
    if halo_bp < _HALO_SPANS * longest:
        raise PermanentError(
            f"Shard {shard.number} has an alignment over {longest:,} bp, but the halo is {halo_bp:,} bp and must be at "
            f"least {_HALO_SPANS} times as wide. Set a wider halo for these reads."
        )


def _merge(parts: Sequence[Path], contigs: Sequence[Contig]) -> tuple[str, Records]:
    """All records of the parts in coordinate order, ties by part; and the header of the whole."""
    expected = tuple((contig.name, contig.length) for contig in contigs)
    buffers: list[NDArray[np.uint8]] = []
    offsets: list[NDArray[np.int64]] = []
    groups: dict[str, SamReadGroup] = {}
    headers: list[str] = []
    base = 0
    for part in parts:
        text, named, data, start = read_bam(part)
        headers.append(text)
        if named != expected:
            raise PermanentError(f"{part.name} was aligned to another reference. Align the chunk again.")
        for group in parse_read_groups(text):
            if groups.setdefault(group.id, group) != group:
                raise PermanentError(f"Read group '{group.id}' means two things in the parts. Rename one.")
        offsets.append(find_offsets(data, start) - start + base)
        buffers.append(np.frombuffer(data, dtype=np.uint8)[start:])
        base += len(data) - start
    # One copy, which is writable: flags are set in place.
    merged = records_of(np.concatenate(buffers), np.concatenate(offsets))
    order = coordinate_order(merged.head["ref"], merged.head["pos"])
    text = header_text(contigs, list(groups.values()), [aligner_program_of(headers), duplicates_program()])
    return text, Records(merged.buffer, merged.offsets[order], merged.head[order])


def _drop_mate_facts(records: Records) -> None:
    """Shorten every primary record by its last tag, which was for duplicate marking only."""
    primary = np.flatnonzero(records.head["flag"] & NOT_PRIMARY == 0)
    shorter = (records.head["block_size"][primary] - MATE_FACTS_BYTES).astype("<i4")
    records.head["block_size"][primary] = shorter
    for k, column in enumerate(shorter.view(np.uint8).reshape(-1, 4).T):
        records.buffer[records.offsets[primary] + k] = column


def bam_pieces(header: bytes, records: Records, rows: NDArray[np.int64]) -> Iterator[bytes]:
    """The header, then the chosen records in order, some thousand at a time."""
    yield header
    view = memoryview(records.buffer.data)
    starts = records.offsets[rows]
    ends = starts + records.sizes[rows]
    for at in range(0, len(rows), _WRITE_RECORDS):
        chosen = slice(at, at + _WRITE_RECORDS)
        yield b"".join(
            [view[start:end] for start, end in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)]
        )
