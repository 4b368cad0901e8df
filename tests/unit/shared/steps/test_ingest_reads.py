"""What the first reads of a drop tell of its read groups."""

import pytest

from shared import naming
from shared.errors import TransientError
from tests.drops import SAMPLE, drop_fastq, drop_order, fastq_blob
from tests.factories import make_order
from tests.fakes import World
from tests.landing import drop_all, look, new_world, plans, put, reads


@pytest.fixture
def world() -> World:
    return new_world()


def test_read_groups_say_flowcell_lane_index_and_model(world: World) -> None:
    for lane in (1, 2):
        for mate in (1, 2):
            drop_fastq(world.blobs, f"L{lane}", mate, data=reads(mate, lane=lane))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit, group.model) for group in plan.read_groups] == [
        ("L1", "HXXX.1.ACGT+TTGA", "NovaSeq 6000"),
        ("L2", "HXXX.2.ACGT+TTGA", "NovaSeq 6000"),
    ]


def test_only_a_plan_that_is_not_there_yet_costs_a_look_into_the_files(world: World) -> None:
    drop_all(world, "L1", "L2")
    drop_order(world.blobs)
    look(world)
    first = [ref.name for ref in world.blobs.heads]
    assert first == [fastq_blob("L1", 1).name, fastq_blob("L2", 1).name]
    look(world)
    assert len(world.blobs.heads) == len(first)


def test_the_same_name_and_lane_of_two_flowcells_is_two_read_groups(world: World) -> None:
    files = [
        (f"{run}/{SAMPLE}_S1_L001_R{mate}_001.fastq.gz", reads(mate, flowcell=flowcell))
        for run, flowcell in (("run1", "HAAA"), ("run2", "HBBB"))
        for mate in (1, 2)
    ]
    for name, data in files:
        put(world, name, data)
    world.blobs.put(naming.order_blob(SAMPLE), make_order(files=tuple(name for name, _ in files)).to_json())
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit) for group in plan.read_groups] == [
        ("S1_L001_HAAA", "HAAA.1.ACGT+TTGA"),
        ("S1_L001_HBBB", "HBBB.1.ACGT+TTGA"),
    ]


def test_two_files_of_one_lane_are_two_read_groups_of_one_unit(world: World) -> None:
    for part in (1, 2):
        for mate in (1, 2):
            put(world, f"{SAMPLE}_S1_L001_R{mate}_00{part}.fastq.gz", reads(mate, x=part))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [(group.id, group.platform_unit) for group in plan.read_groups] == [
        ("S1_L001", "HXXX.1.ACGT+TTGA"),
        ("S1_L001_002", "HXXX.1.ACGT+TTGA"),
    ]


def test_a_lane_given_twice_in_other_bytes_is_refused(world: World) -> None:
    for lane, end in (("L1", b""), ("L2", b"\n")):
        for mate in (1, 2):
            drop_fastq(world.blobs, lane, mate, data=reads(mate) + end)
    drop_order(world.blobs)
    assert "begin with the same read: a lane was given twice" in look(world).refused


def test_a_file_that_tells_nothing_is_left_to_the_split(world: World) -> None:
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate, data=b"\x1f\x8bbroken" + bytes([mate]))
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.platform_unit for group in plan.read_groups] == [f"{SAMPLE}.L1"]


def test_a_file_replaced_between_listing_and_reading_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    head = world.blobs.head

    def replaced_first(ref: naming.BlobRef, size: int, content: str) -> bytes:
        monkeypatch.setattr(world.blobs, "head", head)
        drop_fastq(world.blobs, "L1", 1, data=b"better reads")
        return head(ref, size, content)

    monkeypatch.setattr(world.blobs, "head", replaced_first)
    with pytest.raises(TransientError, match="has changed since its folder was listed"):
        look(world)
    assert plans(world) == []
    plan = look(world).plan  # the queue delivers the event again
    assert plan is not None
    assert plan.follows is None  # the first version was never analysed
