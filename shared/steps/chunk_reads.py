"""The reads of a chunk in the dropped files, from the chunk's place on."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, cast

from shared import naming
from shared.domain.markers import ChunkMarker
from shared.domain.plan import Plan
from shared.domain.reads import ReadGroup
from shared.domain.work import ChunkKey
from shared.errors import TransientError
from shared.formats.fastq import FastqPairs, FastqSource, PairsPlace
from shared.formats.fastq_single import FastqSingles
from shared.ports import BlobStore

_BUFFER_BYTES = 1 << 20


@contextmanager
def open_templates(group: ReadGroup, blobs: BlobStore, begin: PairsPlace | None) -> Iterator[FastqPairs | FastqSingles]:
    """The pairs, or single-end reads, of a read group from a place on; None: from the first.

    Raises:
        PermanentError: When a file is gone, or not the one of the plan any more.
    """
    starts = [lane.place.point.offset for lane in begin.lanes] if begin else [0] * len(group.files)
    with ExitStack() as stack:
        sources = []
        for file, start in zip(group.files, starts, strict=True):
            ref = naming.landing_blob(file.name)
            sources.append(FastqSource(stack.enter_context(blobs.open(ref, file.content, start)), str(ref)))
        if group.is_single_end:
            yield FastqSingles(sources[0], begin=begin)
        else:
            yield FastqPairs(sources[0], sources[1], begin=begin)


def read_place(plan: Plan, chunk: ChunkKey, blobs: BlobStore) -> PairsPlace | None:
    """Where a chunk begins; None for the beginning of the files.

    Raises:
        TransientError: When the place is not there.
    """
    if chunk.number == 0:
        return None
    ref = naming.chunk_place(plan.analysis, chunk)
    data = blobs.find(ref)
    if data is None:
        raise TransientError(f"{ref} is not there, though the chunk before it is. The split writes it again.")
    return PairsPlace.model_validate_json(data)


@contextmanager
def open_in_landing(plan: Plan, marker: ChunkMarker, blobs: BlobStore) -> Iterator[BinaryIO]:
    """The reads of a chunk that is in the dropped files, as FASTQ (pairs interleaved); nothing is kept on disk.

    Raises:
        PermanentError: When a dropped file is gone, or not the one of the plan any more.
        TransientError: When the reads are not those that were checked.
    """
    group = plan.read_group(marker.read_group)
    begin = read_place(plan, ChunkKey(marker.read_group, marker.number), blobs)
    with open_templates(group, blobs, begin) as templates:
        yield cast("BinaryIO", io.BufferedReader(cast("Any", _Text(templates, marker)), _BUFFER_BYTES))


class _Text(io.RawIOBase):
    """So many pairs, or single-end reads, as text."""

    def __init__(self, templates: FastqPairs | FastqSingles, marker: ChunkMarker) -> None:
        self._templates = templates
        self._marker = marker
        self._left = marker.pairs
        self._checksums: tuple[int, ...] = ()
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._text and self._left:
            self._text = memoryview(self._take())
        size = min(len(buffer), len(self._text))
        buffer[:size] = self._text[:size]
        self._text = self._text[size:]
        return size

    def _take(self) -> bytes:
        block = self._templates.take(self._left)
        if block is not None:
            self._left -= block.count
            self._checksums = block.checksums(self._checksums)
        if block is None or (not self._left and self._marker.checksums not in {(), self._checksums}):
            raise TransientError(
                f"Chunk {self._marker.read_group}/{self._marker.number} does not read as it did when it was checked: "
                f"{self._marker.pairs - self._left:,} of {self._marker.pairs:,} templates, CRC-32 {self._checksums} "
                f"instead of {self._marker.checksums}. It is read again."
            )
        return block.text()
