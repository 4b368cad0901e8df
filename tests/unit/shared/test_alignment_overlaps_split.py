"""Chunks are aligned while later ones are still being split."""

import gzip
from datetime import timedelta

from shared import naming
from shared.domain.reads import InputFile, ReadGroup
from shared.domain.work import AlignWork, ChunkKey, Stage
from shared.naming import BlobRef, Container
from shared.reconciler import Reconciler
from shared.steps.split import split_read_group
from tests.drops import app_settings, open_analysis
from tests.factories import make_plan
from tests.fakes import FakeBlobs, FakeClock, World
from tests.fastq_text import fastq

GROUP = "L1"
CHUNKS = 5


class TellingBlobs(FakeBlobs):
    """Blobs whose new chunk markers come as events at once, while their writer goes on."""

    reconciler: Reconciler

    def create(self, ref: BlobRef, data: bytes) -> bool:
        is_new = super().create(ref, data)
        marker = naming.parse_marker(ref.container, ref.name)
        if is_new and marker and marker.stage is Stage.CHUNK:
            self.reconciler.on_marker(marker)
        return is_new


def test_every_chunk_is_handed_to_alignment_before_the_next_one_is_there_and_long_before_the_splits_end() -> None:
    world = World(clock=FakeClock(tick=timedelta(seconds=1)))
    world.blobs = blobs = TellingBlobs(world.clock)
    files = []
    for mate in (1, 2):
        facts = blobs.put(naming.landing_blob(f"NA00001/NA00001_L1_R{mate}.fastq.gz"), gzip.compress(fastq(100, mate)))
        files.append(InputFile(name=facts.ref.name, size=facts.size, content=facts.content))
    group = ReadGroup(id=GROUP, r1=files[0], r2=files[1], library="NA00001", platform_unit="NA00001.L1")
    plan = make_plan(chunk_pairs=20).model_copy(update={"read_groups": (group,)})
    open_analysis(world, plan)
    blobs.reconciler = Reconciler(world.services, app_settings())

    handed: list[tuple[list[str], bool]] = []
    submit = world.tasks.submit

    def noted(job_id: str, tasks: list) -> None:  # type: ignore[type-arg]
        submit(job_id, tasks)
        split_is_done = blobs.facts(naming.split_marker(plan.analysis, GROUP)) is not None
        handed.append(([task.id for task in tasks], split_is_done))

    world.tasks.submit = noted  # type: ignore[assignment,method-assign]
    split_read_group(plan, GROUP, 0, blobs, world.clock)

    expected = [([naming.task_id(AlignWork(ChunkKey(GROUP, n)), 0)], False) for n in range(CHUNKS)]
    assert handed == expected
    assert blobs.names(Container.WORK, f"{naming.analysis_folder(plan.analysis)}chunks/")[-1].endswith("split.json")
