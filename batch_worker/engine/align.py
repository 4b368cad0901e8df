"""Align one chunk, sort it in memory, and cut it into one BAM part per shard.

Nothing here depends on how many chunks or threads there are: the aligner sees batches of a fixed number of
pairs counted
from the chunk's first pair (a chunk is a whole number of batches), and records of equal position stay in read order.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.bgzf import write_bgzf
from batch_worker.engine.chunk_reads import Batch, read_batches
from batch_worker.engine.chunk_records import KEPT_BYTES, ChunkRecords, RecordTable
from batch_worker.engine.header import SamReadGroup, aligner_program, header_text, read_dict
from batch_worker.engine.packed import (
    FIRST,
    MATE_FACTS_BYTES,
    NOT_PRIMARY,
    SECONDARY,
    SUPPLEMENTARY,
    Cover,
    Records,
    Spans,
    bam_header,
    mate_facts_tags,
    records_of,
    spans_of,
)
from batch_worker.engine.place_counts import PlaceCounts
from batch_worker.engine.read_metrics import ReadMetrics
from batch_worker.engine.single_reads import as_single, failed_insert_sizes, paired_by_two
from batch_worker.process import stderr_to
from shared.domain.genome import Contig, Interval, Shard
from shared.errors import LedgerError, PermanentError

PART_LEVEL = 1  # parts are read once and deleted: fast beats small


@dataclass(frozen=True, slots=True)
class AlignedPart:
    """What one shard gets of a chunk.

    Attributes:
        shard: The shard's number.
        path: BAM: every record that overlaps the shard or its halo, sorted; the last shard's also the unplaced ones.
        size: Bytes.
        records: Records in the file.
        owned: Records that start in the shard (and the unplaced ones, in the last).
        owned_primary: Those of them that are neither secondary nor supplementary.
    """

    shard: int
    path: Path
    size: int
    records: int
    owned: int
    owned_primary: int


@dataclass(frozen=True, slots=True)
class AlignSummary:
    """What a chunk's alignment gave.

    Attributes:
        pairs: Templates: read pairs, of which `primary` is then twice as many; or single reads, as many as `primary`.
        counted: By place, see `PlaceCounts`.
    """

    pairs: int
    metrics: ReadMetrics
    primary: int
    secondary: int
    supplementary: int
    unplaced: int
    parts: tuple[AlignedPart, ...]
    counted: Mapping[str, int] = field(default_factory=dict)


def align_chunk(
    reads: Path | BinaryIO,
    *,
    index_prefix: Path,
    read_group: SamReadGroup,
    shards: Sequence[Shard],
    halo_bp: int,
    batch_pairs: int,
    threads: int,
    out_dir: Path,
    log: Path,
    single_end: bool = False,
    places: Mapping[str, Sequence[Interval]] = MappingProxyType({}),
    kept_bytes: int = KEPT_BYTES,
    on_part: Callable[[AlignedPart], None] = lambda _: None,
) -> AlignSummary:
    """Align the reads of a chunk and write one BAM part per shard, `{shard number:05d}.bam`, to `out_dir`.

    Args:
        reads: FASTQ, plain or gzip; of pairs interleaved (R1, R2, ...).
        index_prefix: `reference.fa` with the files of `build_index` beside it.
        read_group: Of all reads of the chunk.
        shards: They cover the genome exactly once, in order.
        halo_bp: A part holds every record that overlaps its shard widened by this many bp on each side.
        batch_pairs: Pairs per aligner batch, which else has twice as many single reads; changing it changes results.
        threads: Batches aligned at the same time; does not change results.
        out_dir: Made if missing.
        log: The aligner's chatter is appended here.
        single_end: The reads have no mates.
        places: Where surely placed reads are counted, by the count's name.
        kept_bytes: Records that stay in memory, bytes; more go to a file in `out_dir`. Does not change results.
        on_part: Told of each part when it is written, while the next ones are not.

    Raises:
        PermanentError: When reads are malformed or shards do not fit the reference.
        LedgerError: When the aligner does not give exactly two primary records per pair, or one per single read.
    """
    if batch_pairs < 1 or threads < 1:
        raise PermanentError(f"batch_pairs is {batch_pairs} and threads {threads}; both must be at least 1.")
    contigs = read_dict(index_prefix.with_name(index_prefix.name + ".dict"))
    label = reads.name if isinstance(reads, Path) else "chunk"
    out_dir.mkdir(parents=True, exist_ok=True)
    records = ChunkRecords(out_dir, kept_bytes)
    metrics = ReadMetrics()
    counts = PlaceCounts(places, contigs)
    pairs = 0
    with stderr_to(log):
        for batch, aligned in _aligned(
            read_batches(reads, label, batch_pairs, single_end=single_end),
            index_prefix,
            contigs,
            read_group,
            threads,
            single_end=single_end,
        ):
            head = _keep(records, batch, aligned, single_end=single_end)
            metrics.add(batch, head)
            counts.add(head)
            pairs += len(batch.names)
    table = records.in_order()
    flag = table.column("flag")
    primary = flag & NOT_PRIMARY == 0
    program = aligner_program(paired=not single_end, single_end=single_end)
    header = bam_header(header_text(contigs, [read_group], [program]), contigs)
    parts = []
    for part in _write_parts(records, table, shards, contigs, halo_bp, header, out_dir):
        on_part(part)
        parts.append(part)
    return AlignSummary(
        pairs=pairs,
        metrics=metrics,
        primary=int(primary.sum()),
        secondary=int((flag & SECONDARY != 0).sum()),
        supplementary=int((flag & SUPPLEMENTARY != 0).sum()),
        unplaced=int((table.column("ref") < 0).sum()),
        parts=tuple(parts),
        counted=counts.counts,
    )


def _aligned(
    batches: Iterable[Batch],
    index_prefix: Path,
    contigs: Sequence[Contig],
    read_group: SamReadGroup,
    threads: int,
    *,
    single_end: bool,
) -> Iterator[tuple[Batch, list[bytes]]]:
    """Align batches, `threads` at a time, and yield them in order with their packed records."""
    import bwa_mem3

    index = bwa_mem3.BwaIndex(str(index_prefix))
    if [(contig.name, contig.length) for contig in contigs] != list(index.contigs()):
        raise PermanentError(
            f"{index_prefix.name}.dict and the aligner index name different contigs. Build the reference index again."
        )
    options = bwa_mem3.MemOpts()
    options.set_read_group_id(read_group.id)  # process-wide in bwa-mem3: one read group per process at a time
    unpairable = failed_insert_sizes(index, options) if single_end else None

    def work(batch: Batch) -> list[bytes]:
        if single_end:
            records, _ = bwa_mem3.align_batch(index, options, paired_by_two(batch), unpairable)
            return as_single([record.bytes for record in records], batch.names)
        sequences, qualities = batch.sequences, batch.qualities
        pairs = [
            bwa_mem3.ReadPair(name, sequences[i], name, sequences[i + 1], qualities[i], qualities[i + 1])
            for name, i in zip(batch.names, range(0, len(sequences), 2), strict=True)
        ]
        records, _ = bwa_mem3.align_batch(index, options, pairs)
        return [record.bytes for record in records]

    waiting: deque[tuple[Batch, Future[list[bytes]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(work, batch)))
            if len(waiting) > threads:  # one batch is read ahead, no more, so memory stays bounded
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()


def _keep(kept: ChunkRecords, batch: Batch, aligned: list[bytes], *, single_end: bool) -> NDArray[Any]:
    """Keep a batch's records, with the facts that duplicate marking needs as a last tag.

    Returns:
        The fixed fields of the records.
    """
    lengths = np.array([len(record) for record in aligned], dtype=np.int64)
    offsets = np.cumsum(lengths) - lengths
    table = records_of(b"".join(aligned), offsets)
    spans = spans_of(table)
    primary = np.flatnonzero(table.head["flag"] & NOT_PRIMARY == 0)
    tags = _facts_of_singles(batch) if single_end else _facts_of_mates(batch, table, spans, primary)
    # The tags go in behind their records: everything behind moves by one tag per primary record before it.
    longer = np.zeros(len(table), dtype=np.int64)
    longer[primary] = MATE_FACTS_BYTES
    sizes = lengths + longer
    pieces = [b""] * (2 * len(aligned))
    pieces[0::2] = aligned
    for number, row in enumerate(primary.tolist()):
        pieces[2 * row + 1] = tags[number * MATE_FACTS_BYTES : (number + 1) * MATE_FACTS_BYTES]
    buffer = bytearray().join(pieces)
    begins = np.cumsum(sizes) - sizes
    block_sizes = (table.head["block_size"] + longer).astype("<i4").view(np.uint8).reshape(-1, 4)
    np.frombuffer(buffer, dtype=np.uint8)[begins[:, None] + np.arange(4)] = block_sizes
    kept.add(buffer, table, spans, sizes)
    return table.head


def _facts_of_singles(batch: Batch) -> bytes:
    """The tags of the primary records of reads without mates, one per read."""
    nothing = np.zeros(len(batch.names), dtype=np.int64)
    return mate_facts_tags(nothing, nothing, batch.scores, nothing)


def _facts_of_mates(batch: Batch, table: Records, spans: Spans, primary: NDArray[np.int64]) -> bytes:
    """The tags of the primary records of pairs, two per pair."""
    flag, pos = table.head["flag"], table.head["pos"]
    first = flag[primary] & FIRST != 0
    if len(primary) != 2 * len(batch.names) or not first[0::2].all() or first[1::2].any():
        raise LedgerError(
            f"The aligner gave {len(primary)} primary records for {len(batch.names)} pairs, or not in the order "
            f"R1, R2; "
            "exactly two per pair were expected. Is this a supported version of bwa-mem3?"
        )
    # markdup counts unclipped starts from 1 and ends as half-open ends; the same numbers are kept here.
    swap = np.arange(len(primary)).reshape(-1, 2)[:, ::-1].ravel()
    start = (pos[primary] - spans.left_clip[primary] + 1)[swap]
    end = (spans.end[primary] + spans.right_clip[primary])[swap]
    return mate_facts_tags(start, end, batch.scores, batch.scores[swap])


def _write_parts(
    records: ChunkRecords,
    table: RecordTable,
    shards: Sequence[Shard],
    contigs: Sequence[Contig],
    halo_bp: int,
    header: bytes,
    out_dir: Path,
) -> Iterator[AlignedPart]:
    """Write each shard's records of the sorted table, its halo's included."""
    genome = Cover((), contigs)
    ref = table.rows["ref"]
    start, end = genome.linear(ref, table.column("pos")), genome.linear(ref, table.column("end"))
    primary = table.rows["flag"] & NOT_PRIMARY == 0
    placed = int(np.count_nonzero(ref >= 0))
    longest = int((end - start)[:placed].max(initial=1))
    for shard in shards:
        wide = Cover(shard.intervals, contigs, halo_bp)
        low, high = wide.hull
        # Sorted by start: only this stretch can overlap, so many shards cost no more than few.
        first, stop = np.searchsorted(start[:placed], [low - longest, high])
        chosen = first + np.flatnonzero(wide.overlaps(start[first:stop], end[first:stop]))
        owned = chosen[Cover(shard.intervals, contigs).holds(start[chosen])]
        if shard.is_last:
            unplaced = np.arange(placed, len(start))
            chosen, owned = np.concatenate([chosen, unplaced]), np.concatenate([owned, unplaced])
        path = out_dir / f"{shard.number:05d}.bam"
        size = write_bgzf(path, chain([header], records.pieces(table, chosen)), PART_LEVEL)
        yield AlignedPart(shard.number, path, size, len(chosen), len(owned), int(primary[owned].sum()))
