"""The reads of a chunk in the dropped files, from the chunk's place on."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from shared import naming
from shared.domain.markers import ChunkMarker
from shared.domain.plan import Plan
from shared.domain.reads import ReadGroup
from shared.domain.work import ChunkKey
from shared.errors import TransientError
from shared.formats.fastq import FastqPairs, FastqSource, PairsPlace
from shared.ports import BlobStore

_BUFFER_BYTES = 1 << 20


@contextmanager
def open_pairs(group: ReadGroup, blobs: BlobStore, begin: PairsPlace | None) -> Iterator[FastqPairs]:
    """The pairs of a read group from a place on; None: from the first.

    Raises:
        PermanentError: When a file is gone, or not the one of the plan any more.
    """
    starts = (begin.r1.place.point.offset, begin.r2.place.point.offset) if begin else (0, 0)
    names = [naming.landing_blob(file.name) for file in (group.r1, group.r2)]
    with (
        blobs.open(names[0], group.r1.content, starts[0]) as r1,
        blobs.open(names[1], group.r2.content, starts[1]) as r2,
    ):
        yield FastqPairs(FastqSource(r1, str(names[0])), FastqSource(r2, str(names[1])), begin=begin)


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
    """The reads of a chunk that is in the dropped files, as interleaved FASTQ; nothing is kept on disk.

    Raises:
        PermanentError: When a dropped file is gone, or not the one of the plan any more.
    """
    group = plan.read_group(marker.read_group)
    begin = read_place(plan, ChunkKey(marker.read_group, marker.number), blobs)
    with open_pairs(group, blobs, begin) as pairs:
        yield cast("BinaryIO", io.BufferedReader(cast("Any", _PairsText(pairs, marker.pairs)), _BUFFER_BYTES))


class _PairsText(io.RawIOBase):
    """So many pairs as text."""

    def __init__(self, pairs: FastqPairs, count: int) -> None:
        self._pairs = pairs
        self._left = count
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._text and self._left and (block := self._pairs.take(self._left)):
            self._left -= block.count
            self._text = memoryview(block.text())
        size = min(len(buffer), len(self._text))
        buffer[:size] = self._text[:size]
        self._text = self._text[size:]
        return size
