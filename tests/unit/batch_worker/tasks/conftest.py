"""A store with a small reference bundle, a plan and one chunk, for the tasks that use them."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from batch_worker.task import TaskContext, run_task
from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared import naming
from shared.domain.markers import ChunkMarker, OutputFile
from shared.domain.plan import Layout, Plan, ResultSettings, freeze_plan
from shared.domain.reference import Assembly
from shared.domain.work import AlignWork, ChunkKey, Work
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP, chunks
from tests.factories import NOON, make_order, make_read_group
from tests.fakes import FakeBlobs
from tests.simulate import make_world

CHUNK = ChunkKey("S1_L001", 0)
PAIRS = 2 * BATCH_PAIRS

Install = Callable[[FakeBlobs], Plan]


@dataclass
class Drop:
    """A store with a reference bundle and one chunk, and how to run a task on it."""

    blobs: FakeBlobs
    plan: Plan
    context: TaskContext

    def run(self, work: Work | None = None) -> int:
        """Run a task, the chunk's align task by default; its exit status."""
        return run_task(work or AlignWork(CHUNK), self.plan.analysis, 0, self.context)


@pytest.fixture(scope="package")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
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
            Layout(chunk_pairs=PAIRS, shard_bp=6_000),
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
def drop(install: Install, tmp_path: Path) -> Drop:
    blobs = FakeBlobs()
    plan = install(blobs)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Drop(blobs, plan, TaskContext(blobs, 2, scratch, tmp_path / "cache", lambda: NOON))
