"""Split one read group: stream R1 and R2 in lock-step into chunks, each with its marker.

A chunk is a whole number of alignment batches counted from the start of the read group, so that nothing after it
depends on where it was cut. The step may stop between chunks; a checkpoint goes on from there.
"""

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from shared import naming
from shared.domain.markers import Checkpoint, ChunkMarker, SplitMarker
from shared.domain.plan import Plan
from shared.domain.work import ChunkKey, Stage
from shared.errors import PermanentError
from shared.formats.chunk_gzip import ChunkGzip
from shared.formats.fastq import FastqPairs, FastqSource, PairBlock
from shared.ports import BlobStore
from shared.steps.meter import Meter


def split_read_group(
    plan: Plan,
    group_id: str,
    next_chunk: int,
    blobs: BlobStore,
    clock: Callable[[], datetime],
    budget_seconds: float = math.inf,
) -> None:
    """Split a read group from a checkpoint on; leave chunks, and `split.json` or the next checkpoint.

    Args:
        plan: The analysis.
        group_id: The read group.
        next_chunk: Number of the chunk to go on with; the chunks before it have their markers.
        blobs: Where the files are and the chunks go.
        clock: The time, UTC.
        budget_seconds: After this time no further chunk is begun, s; a Batch task has no such limit.

    Raises:
        PermanentError: For any fault of the files.
    """
    group = plan.read_group(group_id)
    began = clock()
    meter = Meter(clock)
    chunk_pairs = plan.layout.chunk_pairs
    done = _existing_chunks(plan, group_id, blobs)
    with (
        blobs.open(naming.landing_blob(group.r1.name), group.r1.content) as r1,
        blobs.open(naming.landing_blob(group.r2.name), group.r2.content) as r2,
    ):
        pairs = FastqPairs(FastqSource(r1, f"landing/{group.r1.name}"), FastqSource(r2, f"landing/{group.r2.name}"))
        number, total = _skip(pairs, next_chunk, chunk_pairs)
        while True:
            first = pairs.take(chunk_pairs)
            if first is None:
                break
            spent = (clock() - began).total_seconds()
            if spent > budget_seconds and number > next_chunk:
                _leave_checkpoint(plan, group_id, number, total, blobs)
                return
            key = ChunkKey(group_id, number)
            chunk = _prepend(first, pairs, chunk_pairs)
            if key in done:
                total += sum(block.count for block in chunk)
            else:
                total += _write_chunk(plan, key, total, chunk, blobs, clock)
            number += 1
    if total == 0:
        raise PermanentError(
            f"landing/{group.r1.name} and its mate hold no reads. Upload the sequencer's files, then the order again."
        )
    marker = SplitMarker(analysis=plan.analysis, read_group=group_id, chunks=number, pairs=total, **meter.read())
    blobs.create(naming.split_marker(plan.analysis, group_id), marker.to_json())


def _existing_chunks(plan: Plan, group_id: str, blobs: BlobStore) -> set[ChunkKey]:
    folder = naming.split_marker(plan.analysis, group_id).name.rpartition("/")[0] + "/"
    found = set()
    for facts in blobs.list(naming.Container.WORK, folder):
        ref = naming.parse_marker(facts.ref.container, facts.ref.name)
        if ref and ref.stage is Stage.CHUNK:
            found.add(ref.chunk)
    return found


def _skip(pairs: FastqPairs, chunks: int, chunk_pairs: int) -> tuple[int, int]:
    """Pass over the pairs of chunks that are there: (next chunk number, pairs passed)."""
    passed = sum(block.count for block in _blocks(pairs, chunks * chunk_pairs))
    return chunks, passed


def _prepend(first: PairBlock, pairs: FastqPairs, chunk_pairs: int) -> Iterator[PairBlock]:
    """The blocks of one chunk, of which the first was taken already."""
    yield first
    yield from _blocks(pairs, chunk_pairs - first.count)


def _blocks(pairs: FastqPairs, count: int) -> Iterator[PairBlock]:
    """The next `count` pairs, or what is left of them."""
    while count > 0 and (block := pairs.take(count)):
        yield block
        count -= block.count


def _write_chunk(
    plan: Plan,
    key: ChunkKey,
    first_pair: int,
    chunk: Iterator[PairBlock],
    blobs: BlobStore,
    clock: Callable[[], datetime],
) -> int:
    meter = Meter(clock)
    data = naming.chunk_data(plan.analysis, key)
    count = 0
    first_name = last_name = ""
    with blobs.writer(data) as stream:
        packed = ChunkGzip(stream)
        for block in chunk:
            packed.write(block.text())
            first_name = first_name or block.first_name
            last_name = block.last_name
            count += block.count
        packed.close()
    marker = ChunkMarker(
        analysis=plan.analysis,
        read_group=key.read_group,
        number=key.number,
        first_pair=first_pair,
        pairs=count,
        first_name=first_name,
        last_name=last_name,
        outputs=(stream.output(),),
        **meter.read(),
    )
    blobs.create(naming.chunk_marker(plan.analysis, key), marker.to_json())
    return count


def _leave_checkpoint(plan: Plan, group_id: str, number: int, total: int, blobs: BlobStore) -> None:
    checkpoint = Checkpoint(analysis=plan.analysis, read_group=group_id, next_chunk=number, pairs_done=total)
    blobs.create(naming.checkpoint_blob(plan.analysis, group_id, number), checkpoint.to_json())
