"""Putting away what an ended analysis no longer needs, and nothing else."""

import pytest

from shared import naming
from shared.domain.markers import ArchivedMarker
from shared.domain.plan import Plan
from shared.domain.reads import InputFile
from shared.domain.work import ChunkKey, Stage
from shared.naming import Container
from shared.steps.archive import archive
from tests.drops import fastq_blob, open_analysis
from tests.factories import make_plan, make_read_group
from tests.fakes import Killed, World


def dropped_plan(world: World) -> Plan:
    """A plan whose two files lie in landing."""
    files = []
    for mate in (1, 2):
        facts = world.blobs.put(fastq_blob("L1", mate), f"reads {mate}".encode())
        files.append(InputFile(name=facts.ref.name, size=facts.size, content=facts.content))
    group = make_read_group("L1").model_copy(update={"r1": files[0], "r2": files[1]})
    plan = make_plan().model_copy(update={"read_groups": (group,)})
    open_analysis(world, plan)
    for number in range(3):
        world.blobs.create(naming.chunk_marker(plan.analysis, ChunkKey("L1", number)), b"{}")
        world.blobs.create(naming.chunk_data(plan.analysis, ChunkKey("L1", number)), b"reads")
    return plan


def marker_of(world: World, plan: Plan) -> ArchivedMarker:
    data = world.blobs.read(naming.result_marker(plan.sample, plan.analysis, Stage.ARCHIVED))
    return ArchivedMarker.model_validate_json(data)


def tiers(world: World) -> list[str]:
    return [facts.tier for facts in world.blobs.list(Container.LANDING, "")]


@pytest.fixture
def world() -> World:
    return World()


def test_inputs_get_cheaper_data_goes_and_markers_stay(world: World) -> None:
    plan = dropped_plan(world)
    other = naming.chunk_data(make_plan(content="b").analysis, ChunkKey("L1", 0))
    world.blobs.create(other, b"another's")
    archive(plan, world.services, "Cold")
    assert tiers(world) == ["cold", "cold"]
    assert world.blobs.names(Container.WORK, naming.DATA_PREFIX) == [other.name]
    assert len(world.blobs.names(Container.WORK, f"{plan.analysis}/chunks/")) == 3
    assert world.tasks.finished == {naming.job_id(plan.analysis): "delivered"}
    marker = marker_of(world, plan)
    assert (marker.tiered, marker.deleted) == (2, 3)


def test_a_file_that_was_replaced_or_is_gone_is_left_alone(world: World) -> None:
    plan = dropped_plan(world)
    world.blobs.put(fastq_blob("L1", 1), b"another analysis's input")
    world.blobs.remove(fastq_blob("L1", 2))
    archive(plan, world.services, "Cold")
    assert tiers(world) == ["hot"]
    assert marker_of(world, plan).tiered == 0


@pytest.mark.parametrize("before", ["Archive", "Cold"])
def test_a_file_that_is_as_cheap_already_is_not_moved(world: World, before: str) -> None:
    plan = dropped_plan(world)
    for mate in (1, 2):
        world.blobs.set_tier(fastq_blob("L1", mate), before)
    archive(plan, world.services, "Cold")
    assert tiers(world) == [before.lower()] * 2
    assert marker_of(world, plan).tiered == 0


def test_the_marker_comes_last_so_that_a_killed_archiving_is_done_again(world: World) -> None:
    plan = dropped_plan(world)
    world.blobs.kill_after = 0
    with pytest.raises(Killed):
        archive(plan, world.services, "Cold")
    world.blobs.kill_after = None
    archive(plan, world.services, "Cold")
    assert tiers(world) == ["cold", "cold"]
    assert marker_of(world, plan).deleted == 0  # they went with the first run
