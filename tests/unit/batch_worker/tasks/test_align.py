"""The align task on blobs in memory: whole or not at all, whatever overlaps."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from batch_worker.task import ExitStatus, TaskContext, run_task
from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared import naming
from shared.domain.markers import AlignedMarker, ChunkMarker, OutputFile
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reference import Assembly
from shared.domain.work import AlignWork, ChunkKey
from shared.naming import BlobRef, Container
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP, chunks
from tests.factories import NOON, make_order, make_read_group
from tests.fakes import FakeBlobs
from tests.simulate import make_world

CHUNK = ChunkKey("S1_L001", 0)
PAIRS = 2 * BATCH_PAIRS


@dataclass
class Drop:
    """A store with a reference bundle and one chunk, and how to run its task."""

    blobs: FakeBlobs
    plan: Plan
    context: TaskContext

    @property
    def chunk(self) -> BlobRef:
        return naming.chunk_data(self.plan.analysis, CHUNK)

    def run(self) -> int:
        return run_task(AlignWork(CHUNK), self.plan.analysis, 0, self.context)

    def marker(self) -> AlignedMarker | None:
        found = self.blobs.find(naming.aligned_marker(self.plan.analysis, CHUNK))
        return AlignedMarker.model_validate_json(found) if found else None


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[FakeBlobs], Plan]:
    world = make_world()
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "source.fa").write_bytes(world.fasta())
    manifest = make_bundle("demo", Assembly.OTHER, BundleSources(folder / "source.fa"), folder / "made")
    text = gzip.compress(chunks(world.read_groups["L1"], PAIRS)[0])

    def install(blobs: FakeBlobs) -> Plan:
        install_bundle(folder / "made", blobs)
        plan = freeze_plan(
            make_order(),
            NOON,
            (make_read_group(CHUNK.read_group),),
            manifest,
            ResultSettings(batch_pairs=BATCH_PAIRS, halo_bp=HALO_BP),
            Layout(chunk_pairs=PAIRS, shard_bp=2_000),
        )
        blobs.put(naming.plan_blob(plan.analysis), plan.to_json())
        data = naming.chunk_data(plan.analysis, CHUNK)
        blobs.put(data, text)
        md5 = hashlib.md5(text, usedforsecurity=False).hexdigest()
        marker = ChunkMarker(
            analysis=plan.analysis, started=NOON, ended=NOON, core_seconds=0, read_group=CHUNK.read_group, number=0,
            first_pair=0, pairs=PAIRS, first_name="a", last_name="b",
            outputs=(OutputFile(container=data.container, name=data.name, size=len(text), md5=md5),),
        )  # fmt: skip
        blobs.put(naming.chunk_marker(plan.analysis, CHUNK), marker.to_json())
        return plan

    return install


@pytest.fixture
def drop(installed: Callable[[FakeBlobs], Plan], tmp_path: Path) -> Drop:
    blobs = FakeBlobs()
    plan = installed(blobs)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Drop(blobs, plan, TaskContext(blobs, 2, scratch, tmp_path / "cache", lambda: NOON))


def test_every_part_is_there_as_the_marker_says_and_the_marker_came_last(drop: Drop) -> None:
    assert drop.run() == ExitStatus.DONE
    marker = drop.marker()
    assert marker is not None
    assert marker.pairs == PAIRS
    assert [part.shard for part in marker.parts] == [shard.number for shard in drop.plan.shards]
    for output in marker.outputs:
        data = drop.blobs.read(BlobRef(Container(output.container), output.name))
        assert (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) == (output.size, output.md5)
    assert drop.blobs.events[-1] == naming.aligned_marker(drop.plan.analysis, CHUNK)
    assert list(drop.context.directory.iterdir()) == []


def test_the_shared_index_gives_the_same_parts(drop: Drop, installed: Callable[[FakeBlobs], Plan]) -> None:
    from batch_worker.engine.shared_index import drop_unused

    assert drop.run() == ExitStatus.DONE
    blobs = FakeBlobs()
    installed(blobs)
    shared = replace(drop, blobs=blobs, context=replace(drop.context, blobs=blobs, share_index=True))
    try:
        assert shared.run() == ExitStatus.DONE
    finally:
        drop_unused()
    one, two = drop.marker(), shared.marker()
    assert one is not None
    assert two is not None
    assert one.outputs == two.outputs


def test_a_chunk_that_changed_under_way_leaves_no_marker_and_is_tried_again(drop: Drop) -> None:
    whole = drop.blobs.read(drop.chunk)
    for torn in (whole[:-100], gzip.compress(gzip.decompress(whole)[:-1]), b""):
        drop.blobs.put(drop.chunk, torn)
        assert drop.run() == ExitStatus.TRY_AGAIN
        assert drop.marker() is None
    drop.blobs.put(drop.chunk, whole)
    assert drop.run() == ExitStatus.DONE


def test_an_upload_that_fails_leaves_no_marker(drop: Drop) -> None:
    drop.blobs.kill_after = 3
    assert drop.run() == ExitStatus.TRY_AGAIN
    drop.blobs.kill_after = None
    assert drop.marker() is None
    assert drop.run() == ExitStatus.DONE
