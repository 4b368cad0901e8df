"""The align task on blobs in memory: whole or not at all, whatever overlaps."""

import gzip
import hashlib
from dataclasses import replace

from batch_worker.engine.shared_index import drop_unused
from batch_worker.task import ExitStatus
from shared import naming
from shared.domain.markers import AlignedMarker
from shared.naming import BlobRef, Container
from tests.fakes import FakeBlobs
from tests.unit.batch_worker.tasks.conftest import CHUNK, PAIRS, Drop, Install


def marker(drop: Drop) -> AlignedMarker | None:
    found = drop.blobs.find(naming.aligned_marker(drop.plan.analysis, CHUNK))
    return AlignedMarker.model_validate_json(found) if found else None


def test_every_part_is_there_as_the_marker_says_and_the_marker_came_last(drop: Drop) -> None:
    assert drop.run() == ExitStatus.DONE
    found = marker(drop)
    assert found is not None
    assert found.pairs == PAIRS
    assert [part.shard for part in found.parts] == [shard.number for shard in drop.plan.shards]
    for output in found.outputs:
        data = drop.blobs.read(BlobRef(Container(output.container), output.name))
        assert (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) == (output.size, output.md5)
    assert drop.blobs.events[-1] == naming.aligned_marker(drop.plan.analysis, CHUNK)
    assert list(drop.context.directory.iterdir()) == []


def test_the_shared_index_gives_the_same_parts(drop: Drop, install: Install) -> None:
    assert drop.run() == ExitStatus.DONE
    blobs = FakeBlobs()
    install(blobs)
    shared = replace(drop, blobs=blobs, context=replace(drop.context, blobs=blobs, share_index=True))
    try:
        assert shared.run() == ExitStatus.DONE
    finally:
        drop_unused()
    one, two = marker(drop), marker(shared)
    assert one is not None
    assert two is not None
    assert one.outputs == two.outputs


def test_a_chunk_that_changed_under_way_leaves_no_marker_and_is_tried_again(drop: Drop) -> None:
    chunk = naming.chunk_data(drop.plan.analysis, CHUNK)
    whole = drop.blobs.read(chunk)
    for torn in (whole[:-100], gzip.compress(gzip.decompress(whole)[:-1]), b""):
        drop.blobs.put(chunk, torn)
        assert drop.run() == ExitStatus.TRY_AGAIN
        assert marker(drop) is None
    drop.blobs.put(chunk, whole)
    assert drop.run() == ExitStatus.DONE


def test_an_upload_that_fails_leaves_no_marker(drop: Drop) -> None:
    drop.blobs.kill_after = 1
    assert drop.run() == ExitStatus.TRY_AGAIN
    drop.blobs.kill_after = None
    assert marker(drop) is None
    assert drop.run() == ExitStatus.DONE
