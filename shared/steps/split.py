"""Split one read group: stream R1 and R2 in lock-step, or single-end reads, check every record, and leave chunks.

A chunk is a whole number of alignment batches counted from the start of the read group, so that nothing after it
depends on where it was cut. Where unpacking can go on near a chunk's begin, the chunk is only a place in the dropped
files, and its reads are not written again; else they are copied. Beside each chunk lies the place where the next one
begins: the split goes on from the last chunk that is there, whatever ended it.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime

from shared import naming
from shared.domain.markers import Checkpoint, ChunkMarker, OutputFile, SplitMarker
from shared.domain.plan import Plan
from shared.domain.work import ChunkKey, Stage
from shared.errors import PermanentError
from shared.formats.chunk_gzip import ChunkGzip
from shared.formats.fastq import FastqPairs, PairBlock, PairsPlace
from shared.formats.fastq_single import FastqSingles
from shared.naming import BlobRef
from shared.ports import BlobStore
from shared.steps.chunk_reads import open_templates
from shared.steps.meter import Meter

NEAR_BYTES = 8 << 20
"""Text that whoever reads a chunk in the dropped files may have to pass over first: a hundredth of a usual chunk. Files
with nothing but longer gaps (zstd of one frame, `igzip -0`) are rare; their reads are copied into chunks."""


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
        next_chunk: Number of the chunk to go on with; the chunks before it have their markers. It goes on with a
            later one when more of them are there.
        blobs: Where the files are and the chunks go.
        clock: The time, UTC.
        budget_seconds: After this time no further chunk is begun, s; a Batch task has no such limit.

    Raises:
        PermanentError: For any fault of the files.
    """
    group = plan.read_group(group_id)
    began = clock()
    meter = Meter(clock)
    done = _existing_chunks(plan, group_id, blobs)
    begin, number = _begin(plan, group_id, next_chunk, done, blobs)
    chunk_templates = plan.chunk_templates(group)
    first_number = number
    with open_templates(group, blobs, begin) as templates:
        while first := templates.take(chunk_templates):
            spent = (clock() - began).total_seconds()
            if spent > budget_seconds and number > first_number:
                _leave_checkpoint(plan, group_id, number, templates.count - first.count, blobs)
                return
            key = ChunkKey(group_id, number)
            chunk = _prepend(first, templates, chunk_templates)
            if key in done:
                for _ in chunk:
                    pass
                begin = templates.place()
            else:
                begin = _write_chunk(plan, key, templates, chunk, blobs, clock, is_copy=not _is_near(begin))
            number += 1
        total = templates.count
    if total == 0:
        raise PermanentError(
            f"landing/{group.r1.name} {'holds' if group.is_single_end else 'and its mate hold'} no reads. Upload the "
            "sequencer's files, then the order again."
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


def _begin(
    plan: Plan, group_id: str, next_chunk: int, done: set[ChunkKey], blobs: BlobStore
) -> tuple[PairsPlace | None, int]:
    """The place after the last of the chunks that are there without a gap, and the number of the next."""
    number = next_chunk
    while ChunkKey(group_id, number) in done:
        number += 1
    data = blobs.find(naming.chunk_place(plan.analysis, ChunkKey(group_id, number))) if number else None
    # Without the place (chunks of an older version) all is read again, and only what is missing is written.
    return (PairsPlace.model_validate_json(data), number) if data else (None, 0)


def _is_near(begin: PairsPlace | None) -> bool:
    if begin is None:
        return True
    return all(lane.place.skip + lane.place.skip_lines <= NEAR_BYTES for lane in begin.lanes)


def _prepend(first: PairBlock, templates: FastqPairs | FastqSingles, chunk_templates: int) -> Iterator[PairBlock]:
    """The blocks of one chunk, of which the first was taken already."""
    yield first
    left = chunk_templates - first.count
    while left > 0 and (block := templates.take(left)):
        yield block
        left -= block.count


def _write_chunk(
    plan: Plan,
    key: ChunkKey,
    templates: FastqPairs | FastqSingles,
    chunk: Iterator[PairBlock],
    blobs: BlobStore,
    clock: Callable[[], datetime],
    *,
    is_copy: bool,
) -> PairsPlace:
    """Check a chunk, copy its reads if they are to be copied, and leave its marker; where the next one begins."""
    meter = Meter(clock)
    count = 0
    first_name = last_name = ""
    outputs = []
    checksums: tuple[int, ...] = ()
    with ExitStack() as stack:
        stream = stack.enter_context(blobs.writer(naming.chunk_data(plan.analysis, key))) if is_copy else None
        packed = ChunkGzip(stream) if stream else None
        for block in chunk:
            if packed:
                packed.write(block.text())
            first_name = first_name or block.first_name
            last_name = block.last_name
            count += block.count
            checksums = block.checksums(checksums)
        if packed:
            packed.close()
    if stream:
        outputs.append(stream.output())
    end = templates.place()
    next_key = ChunkKey(key.read_group, key.number + 1)
    outputs.append(_write(naming.chunk_place(plan.analysis, next_key), end.to_json(), blobs))
    marker = ChunkMarker(
        analysis=plan.analysis,
        read_group=key.read_group,
        number=key.number,
        first_pair=end.pairs - count,
        pairs=count,
        first_name=first_name,
        last_name=last_name,
        checksums=checksums,
        is_in_landing=not is_copy,
        outputs=tuple(outputs),
        **meter.read(),
    )
    blobs.create(naming.chunk_marker(plan.analysis, key), marker.to_json())
    return end


def _write(ref: BlobRef, data: bytes, blobs: BlobStore) -> OutputFile:
    with blobs.writer(ref) as stream:
        stream.write(data)
    return stream.output()


def _leave_checkpoint(plan: Plan, group_id: str, number: int, total: int, blobs: BlobStore) -> None:
    checkpoint = Checkpoint(analysis=plan.analysis, read_group=group_id, next_chunk=number, pairs_done=total)
    blobs.create(naming.checkpoint_blob(plan.analysis, group_id, number), checkpoint.to_json())
