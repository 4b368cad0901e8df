"""What comes after an analysis began: replaced files, late lanes, changed orders."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.ids import AnalysisId
from tests.drops import drop_fastq, drop_order, fastq_blob
from tests.fakes import Killed, World
from tests.landing import drop_all, look, new_world, plans, refusal


@pytest.fixture
def world() -> World:
    return new_world()


def test_an_analysis_of_a_replaced_file_follows_the_one_before_it(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    second = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"still better reads")
    third = look(world).plan
    assert first is not None
    assert second is not None
    assert third is not None
    assert [plan.follows for plan in (first, second, third)] == [None, first.analysis, second.analysis]
    frozen = look(world).plan
    assert frozen == third  # a further look changes nothing


def test_a_lane_that_comes_later_waits_for_the_order_to_be_uploaded_again(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs)
    first = look(world).plan
    drop_all(world, "L2")
    late = look(world)
    assert late.plan == first
    assert "Came after the order, which names no files: NA00001_L2_R1.fastq.gz" in " ".join(late.notes)
    drop_order(world.blobs)
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.follows == first.analysis
    assert [group.id for group in second.read_groups] == ["L1", "L2"]


def test_an_order_that_refuses_late_files_begins_no_second_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    assert first is not None
    drop_all(world, "L2")
    assert look(world).plan == first
    drop_order(world.blobs, late_files="refuse")
    drop = look(world)
    assert f"are not those with which analysis {first.analysis} has begun" in drop.refused
    assert refusal(world).message == drop.refused
    drop_order(world.blobs)  # the way out that the message names
    second = look(world).plan
    assert second is not None
    assert second.follows == first.analysis


def test_a_changed_order_for_the_same_files_is_no_late_file(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    drop_order(world.blobs, late_files="refuse", test={"code": "other", "display": "Other"})
    second = look(world).plan
    assert first is not None
    assert second is not None
    assert second.follows == first.analysis


def test_the_policy_for_late_files_is_no_part_of_the_analysis(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, late_files="refuse")
    first = look(world).plan
    drop_order(world.blobs)
    assert look(world).plan == first


def test_files_put_back_are_the_analysis_that_they_were(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", late_files="refuse")
    first = look(world).plan
    drop_fastq(world.blobs, "L1", 2, data=b"other reads")
    assert look(world).refused
    drop_fastq(world.blobs, "L1", 2)
    assert look(world).plan == first


def test_an_analysis_that_was_never_planned_is_not_followed(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    world.blobs.kill_after = 3  # all but the plan
    with pytest.raises(Killed):
        look(world)
    world.blobs.kill_after = None
    drop_fastq(world.blobs, "L1", 2, data=b"better reads")
    plan = look(world).plan
    assert plan is not None
    assert plan.follows is None


def test_files_that_were_archived_after_their_analysis_are_no_fault_and_those_archived_before_it_are(
    world: World,
) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    plan = look(world).plan
    world.blobs.set_tier(fastq_blob("L1", 1), "Archive")
    assert look(world).plan == plan
    drop_order(world.blobs, "L1", test={"code": "other", "display": "Other"})
    assert "is in the archive tier and cannot be read" in look(world).refused


@settings(deadline=None)
@given(looks=st.sets(st.integers(0, 7)))
def test_whenever_events_are_seen_each_upload_of_an_order_is_for_what_was_there(looks: set[int]) -> None:
    world = new_world()
    steps = [("L1", 1), ("L1", 2), ("order", 0), ("L2", 1), ("L2", 2), ("order", 0), ("L3", 2), ("L3", 1)]
    begun: list[tuple[list[str], AnalysisId | None]] = []
    ids: list[AnalysisId] = []
    for number, (part, mate) in enumerate(steps):
        if part == "order":
            drop_order(world.blobs)
        else:
            drop_fastq(world.blobs, part, mate)
        drop = look(world) if number in looks or number == len(steps) - 1 else None
        if drop is not None and drop.plan is not None and drop.is_news:
            begun.append(([group.id for group in drop.plan.read_groups], drop.plan.follows))
            ids.append(drop.plan.analysis)
    # The first upload of the order is seen only if somebody looks before the second one replaces it.
    first_was_seen = bool(looks & {2, 3, 4})
    expected: list[tuple[list[str], AnalysisId | None]] = [(["L1", "L2"], None)]
    if first_was_seen:
        expected = [(["L1"], None), (["L1", "L2"], ids[0])]
    assert begun == expected
    assert len(plans(world)) == len(expected)
