"""Drops: complete in any order of arrival, refused with words a technician can act on, never started twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import naming
from shared.domain.plan import Plan
from shared.naming import Container
from shared.steps.ingest import look_at_folder
from tests.drops import SAMPLE, drop_fastq, drop_order, fastq_blob
from tests.fakes import Killed, World
from tests.landing import LAYOUT, SETTINGS, drop_all, look, new_world, open_entries, plans


@pytest.fixture
def world() -> World:
    return new_world()


# --- complete ----------------------------------------------------------------------------------------------


def test_a_complete_drop_leaves_its_plan_after_its_index_entry(world: World) -> None:
    drop_all(world, "L1", "L2")
    drop_order(world.blobs, "L1", "L2")
    drop = look(world)
    assert drop.plan is not None
    plan = Plan.model_validate_json(world.blobs.read(naming.plan_blob(drop.plan.analysis)))
    assert plan == drop.plan
    assert [group.id for group in plan.read_groups] == ["L1", "L2"]
    assert (plan.settings, plan.layout) == (SETTINGS, LAYOUT)
    written = [ref for ref in world.blobs.events if ref.container is Container.WORK]
    assert written[-3:] == [
        naming.history_entry(SAMPLE, SAMPLE, plan.analysis),
        naming.open_entry(plan.analysis),
        naming.plan_blob(plan.analysis),
    ]
    assert world.blobs.read(naming.open_entry(plan.analysis)) == SAMPLE.encode()


@settings(deadline=None)  # the first look loads what unpacks reads
@given(order=st.permutations(["order", "L1-1", "L1-2", "L2-1", "L2-2"]), looks=st.sets(st.integers(0, 4)))
def test_any_order_of_arrival_gives_one_analysis(order: list[str], looks: set[int]) -> None:
    reference = new_world()
    drop_all(reference, "L1", "L2")
    drop_order(reference.blobs, "L1", "L2")
    expected = look(reference).plan
    world = new_world()
    for number, part in enumerate(order):
        if part == "order":
            drop_order(world.blobs, "L1", "L2")
        else:
            drop_fastq(world.blobs, part[:2], int(part[3]))
        if number in looks:  # events may come after each upload, or be lost
            look(world)
    drop = look(world)
    assert drop.plan is not None
    assert expected is not None
    assert drop.plan.analysis == expected.analysis
    assert len(plans(world)) == len(open_entries(world)) == 1


def test_looking_again_at_the_same_drop_writes_nothing(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    look(world)
    before = len(world.blobs.events)
    look(world)
    assert len(world.blobs.events) == before


@pytest.mark.parametrize("is_named", [True, False])
def test_the_same_files_and_order_uploaded_again_are_the_same_analysis(world: World, is_named: bool) -> None:
    lanes = ("L1",) if is_named else ()
    for _ in range(2):
        drop_all(world, "L1")
        drop_order(world.blobs, *lanes)
        look(world)
    assert len(plans(world)) == 1


def test_a_replaced_file_makes_a_new_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert first.analysis != second.analysis
    assert len(plans(world)) == 2


def test_a_plan_whose_writer_died_after_the_index_entry_is_written_by_the_next_look(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    world.blobs.kill_after = 4  # the frozen list of files and definition of the test, the two index entries
    with pytest.raises(Killed):
        look(world)
    assert plans(world) == []
    assert len(open_entries(world)) == 1
    world.blobs.kill_after = None
    look(world)
    assert len(plans(world)) == 1


def test_files_of_other_folders_and_deeper_ones_are_not_looked_at(world: World) -> None:
    drop_all(world, "L1")
    drop_fastq(world.blobs, "L1", 1, sample="NA00001x")
    world.blobs.put(naming.landing_blob(f"{SAMPLE}/old/NA00001_L9_R1.fastq.gz"), b"x")
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1"]


# --- an order that names no files --------------------------------------------------------------------------


def test_an_order_without_files_is_frozen_to_what_was_there_when_it_arrived(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    drop_all(world, "L2")  # before any event was seen
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1"]
    drop_all(world, "L3")  # and after
    look(world)
    assert len(plans(world)) == 1


def test_an_order_uploaded_again_is_for_what_is_there_then(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    look(world)
    drop_all(world, "L2")
    drop_order(world.blobs)
    plan = look(world).plan
    assert plan is not None
    assert [group.id for group in plan.read_groups] == ["L1", "L2"]


def test_a_drop_repeated_with_its_order_first_is_the_same_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_all(world, "L2")
    drop_order(world.blobs)
    first = look(world).plan
    drop_order(world.blobs)
    drop_all(world, "L1")  # the same bytes with a later time than the order's, before any event is seen
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.analysis == first.analysis


def test_an_order_before_any_file_waits_and_starts_when_uploaded_again_after_them(world: World) -> None:
    drop_order(world.blobs)
    assert "The order names no files and none were in the folder" in look(world).waiting
    drop_all(world, "L1")
    assert look(world).plan is None
    drop_order(world.blobs)
    assert look(world).plan is not None


def test_files_renamed_after_a_refusal_are_taken_when_the_same_order_is_uploaded_again(world: World) -> None:
    wrong = [naming.landing_blob(f"{SAMPLE}/{SAMPLE}-{mate}.fastq.gz") for mate in (1, 2)]
    for ref in wrong:
        world.blobs.put(ref, ref.name.encode())
    drop_order(world.blobs)
    assert "follows no known naming" in look(world).refused
    for ref in wrong:
        world.blobs.remove(ref)
    drop_all(world, "L1")
    drop_order(world.blobs)
    assert look(world).plan is not None


def test_the_status_page_freezes_nothing(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    before = len(world.blobs.events)
    (drop,) = look_at_folder(SAMPLE, world.services, SETTINGS, LAYOUT)
    assert drop.plan is not None
    assert len(world.blobs.events) == before


# --- waiting -----------------------------------------------------------------------------------------------


def test_files_without_an_order_wait_and_tell_which_mates_are_missing(world: World) -> None:
    drop_all(world, "L1")
    drop_fastq(world.blobs, "L2", 1)
    drop = look(world)
    assert drop.waiting == (
        "3 FASTQ files are there, landing/NA00001/order.json is not. The analysis starts when the order is uploaded. "
        "Mates missing: NA00001_L2_R2.fastq.gz."
    )


def test_files_that_cannot_be_paired_say_so_while_the_order_is_awaited(world: World) -> None:
    for suffix in ("_R1.fastq.gz", "_R1_001.fastq.gz"):
        world.blobs.put(naming.landing_blob(f"{SAMPLE}/{SAMPLE}_L1{suffix}"), suffix.encode())
    drop = look(world)
    assert "They cannot be paired: " in drop.waiting
    assert "would both be R1 of read group L1" in drop.waiting


def test_an_order_with_files_missing_waits_for_them_and_writes_no_plan(world: World) -> None:
    drop_order(world.blobs, "L1")
    drop_fastq(world.blobs, "L1", 1)
    drop = look(world)
    assert drop.missing == (fastq_blob("L1", 2).name,)
    assert "1 of 2 files are missing: NA00001_L1_R2.fastq.gz" in drop.waiting
    assert plans(world) == []
