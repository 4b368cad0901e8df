"""Facts are exactly what the markers' names (and, when asked, Batch) say."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared import naming
from shared.domain.facts import Attempt, AttemptState, Facts
from shared.domain.markers import AlignedMarker, CalledMarker, ChunkMarker, FailureKind
from shared.domain.work import AlignWork, CallWork, ChunkKey, SplitWork, Stage
from shared.errors import PermanentError
from shared.naming import BlobRef, Container
from shared.ports import TaskReport, TaskRequest
from shared.steps.look import analyses, followed, read_aligned, read_called, read_chunks, read_facts, read_plan
from tests.drops import file_aligned, open_analysis
from tests.factories import NOON, make_failure, make_plan
from tests.fakes import FakeTasks, World

PLAN = make_plan(groups=("L1", "L2"))
JOB = naming.job_id(PLAN.analysis)
C = ChunkKey
COMMON: dict[str, Any] = {"analysis": PLAN.analysis, "started": NOON, "ended": NOON, "core_seconds": 0.0}


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    return world


def put(world: World, *refs: BlobRef) -> None:
    for ref in refs:
        world.blobs.create(ref, b"{}")


def test_a_new_plan_has_no_facts_but_its_time(world: World) -> None:
    assert read_facts(PLAN, world.blobs) == Facts(newest=NOON)


def test_every_kind_of_marker_is_a_fact(world: World) -> None:
    file_aligned(world, PLAN, "L2", 2)
    put(
        world,
        naming.checkpoint_blob(PLAN.analysis, "L1", 0),
        naming.checkpoint_blob(PLAN.analysis, "L1", 12),
        naming.checkpoint_blob(PLAN.analysis, "L1", 3),
        naming.chunk_marker(PLAN.analysis, C("L1", 0)),
        naming.recalibrated_marker(PLAN.analysis, 6),
        naming.called_marker(PLAN.analysis, 7),
        naming.result_marker(PLAN.sample, PLAN.analysis, Stage.GATHERED),
    )
    failure = make_failure(PLAN, CallWork(3), attempt=1, kind=FailureKind.PERMANENT)
    world.blobs.create(naming.failure_record(PLAN.analysis, CallWork(3), 1), failure.to_json())
    facts = read_facts(PLAN, world.blobs)
    assert facts == Facts(
        checkpoints={"L1": 12},  # the newest
        chunks=frozenset({C("L1", 0), C("L2", 0), C("L2", 1)}),
        splits={"L2": 2},
        aligned=frozenset({C("L2", 0), C("L2", 1)}),
        recalibrated=frozenset({6}),
        called=frozenset({7}),
        results=frozenset({Stage.GATHERED}),
        failures=(failure,),
        newest=NOON,
    )


def test_what_is_no_marker_or_another_analysiss_is_no_fact(world: World) -> None:
    other = make_plan(groups=("L1", "L2"), content="b")
    file_aligned(world, other, "L1", 1)
    put(
        world,
        naming.chunk_data(PLAN.analysis, C("L1", 0)),
        naming.claim_blob(PLAN.analysis, SplitWork("L1")),
        naming.result_blob(PLAN.sample, PLAN.analysis, naming.Result.QC),
        naming.result_marker(PLAN.sample, other.analysis, Stage.FAILED),
    )
    assert read_facts(PLAN, world.blobs) == Facts(newest=NOON)


def test_the_newest_marker_gives_the_time(world: World) -> None:
    world.clock.sleep(60)
    put(world, naming.called_marker(PLAN.analysis, 0))
    world.clock.sleep(60)
    put(world, naming.claim_blob(PLAN.analysis, CallWork(0)))  # no marker: says nothing of progress
    assert read_facts(PLAN, world.blobs).newest == NOON + timedelta(seconds=60)


def test_batch_is_asked_only_when_wanted_and_its_tasks_are_attempts(world: World) -> None:
    tasks = world.tasks
    tasks.submit(JOB, [TaskRequest(naming.task_id(AlignWork(C("L1", n)), n), ["x"]) for n in range(4)])
    tasks.end(JOB, "align-L1-00001-1", 0)
    tasks.end(JOB, "align-L1-00002-2", 137, tail="Killed")
    tasks.end(JOB, "align-L1-00003-3", 1, message="the node was lost")
    assert read_facts(PLAN, world.blobs).attempts is None
    assert read_facts(PLAN, world.blobs, tasks).attempts == {
        ("align-L1-00000", 0): Attempt(AttemptState.IN_HAND),
        ("align-L1-00001", 1): Attempt(AttemptState.ENDED, "it ended with success"),
        ("align-L1-00002", 2): Attempt(AttemptState.ENDED, "exit code 137", "Killed"),
        ("align-L1-00003", 3): Attempt(AttemptState.ENDED, "the node was lost"),
    }


def test_a_task_that_ends_between_the_two_questions_is_seen_with_its_marker(world: World) -> None:
    class EndsWhenAsked(FakeTasks):
        def reports(self, job_id: str) -> Mapping[str, TaskReport]:
            answer = super().reports(job_id)
            put(world, naming.called_marker(PLAN.analysis, 0))
            return answer

    assert read_facts(PLAN, world.blobs, EndsWhenAsked()).called == {0}


def test_an_analysis_without_a_plan_is_an_error(world: World) -> None:
    assert read_plan(PLAN.analysis, world.blobs) == PLAN
    with pytest.raises(PermanentError, match="is not there"):
        read_plan(make_plan(content="b").analysis, world.blobs)


def test_all_analyses_are_listed_and_no_index_is_taken_for_one(world: World) -> None:
    other = make_plan(content="b")
    open_analysis(world, other)
    put(world, naming.intake_blob("NA00001", "NA00001", "0" * 24), naming.chunk_data(PLAN.analysis, C("L1", 0)))
    assert list(analyses(world.blobs)) == sorted([PLAN.analysis, other.analysis])


def test_markers_are_read_back_by_their_keys(world: World) -> None:
    blobs = world.blobs
    file_aligned(world, PLAN, "L2", 0)
    for number in range(40):  # more than are read at once
        key = C("L1", number)
        chunk = ChunkMarker(
            read_group="L1", number=number, first_pair=0, pairs=number, first_name="a", last_name="b", **COMMON
        )
        aligned = AlignedMarker(read_group="L1", number=number, pairs=number, primary=0, records=0, parts=(), **COMMON)
        called = CalledMarker(shard=number, records=number, primary=0, variants=0, gvcf_records=0, **COMMON)
        blobs.put(naming.chunk_marker(PLAN.analysis, key), chunk.to_json())
        blobs.put(naming.aligned_marker(PLAN.analysis, key), aligned.to_json())
        blobs.put(naming.called_marker(PLAN.analysis, number), called.to_json())
    splits, chunks = read_chunks(PLAN, blobs)
    assert {group: marker.chunks for group, marker in splits.items()} == {"L2": 0}
    assert {key: marker.pairs for key, marker in chunks.items()} == {C("L1", n): n for n in range(40)}
    assert {key: marker.pairs for key, marker in read_aligned(PLAN, blobs).items()} == {
        C("L1", n): n for n in range(40)
    }
    assert {shard: marker.records for shard, marker in read_called(PLAN, blobs).items()} == {n: n for n in range(40)}
    assert blobs.names(Container.RESULTS) == []


def test_the_analyses_that_one_follows_are_told_from_the_latest_on(world: World) -> None:
    first, second, third = (make_plan(content=content) for content in "abc")
    second = second.model_copy(update={"follows": first.analysis})
    third = third.model_copy(update={"follows": second.analysis})
    for plan in (first, second):
        world.blobs.put(naming.plan_blob(plan.analysis), plan.to_json())
    assert [plan.analysis for plan in followed(third, world.blobs)] == [second.analysis, first.analysis]
    assert list(followed(first, world.blobs)) == []
