"""Cohorts with fakes: what one waits for, what is frozen or refused, how deliveries and failures bring it on."""

import contextlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from shared import naming
from shared.domain.actions import SubmitTask
from shared.domain.cohort import CohortPlan
from shared.domain.markers import DecidedMarker, Decision, FailedMarker, FailureKind, FailureRecord
from shared.domain.plan import Plan
from shared.domain.work import JointWork, Stage
from shared.errors import PermanentError
from shared.naming import Container, MarkerRef
from shared.reconciler import COHORT_FAILED_NOTICE, JOINED_NOTICE, Reconciler
from shared.steps.cohort import CohortConflictError, CohortDrop, take_cohort
from shared.steps.cohort_status import cohort_status, list_cohorts
from shared.steps.decide import DecisionConflictError, DecisionRequest, retry
from tests.drops import app_settings, open_analysis
from tests.factories import make_plan
from tests.fakes import Killed, World

COHORT = "trio"
SETTINGS = app_settings()
BY = DecisionRequest(by="operator", reason="the pool was full")


def reconciler(world: World) -> Reconciler:
    return Reconciler(world.services, SETTINGS)


def drop(world: World, *samples: Any, folder: str = COHORT, **fields: Any) -> CohortDrop:
    """Upload a cohort and look at it as its event does."""
    world.blobs.put(naming.cohort_blob(folder), json.dumps({"samples": samples, **fields}).encode())
    assert reconciler(world).on_landing(folder, about=f"{folder}/cohort.json") == ()
    return look(world, folder)


def look(world: World, cohort: str = COHORT) -> CohortDrop:
    found = reconciler(world).on_cohort(cohort)
    assert found is not None
    return found


def analyse(world: World, sample: str, *stages: Stage, **values: Any) -> Plan:
    """An analysis with markers of some stages; the clock goes on."""
    plan = make_plan(sample=sample, **values)
    world.blobs.create(naming.plan_blob(plan.analysis), plan.to_json())
    for stage in stages:
        world.clock.sleep(60)
        world.blobs.create(naming.result_marker(sample, plan.analysis, stage), b"{}")
    return plan


def deliver(world: World, sample: str, **values: Any) -> Plan:
    return analyse(world, sample, Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED, **values)


def members(found: CohortDrop) -> list[str]:
    assert found.plan is not None, found
    return [member.analysis for member in found.plan.members]


def waits(world: World) -> list[str]:
    return world.blobs.names(Container.WORK, naming.WAITING_PREFIX)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def planned(world: World) -> CohortPlan:
    deliver(world, "A")
    deliver(world, "B")
    plan = drop(world, "A", "B").plan
    assert plan is not None
    return plan


# --- intake ------------------------------------------------------------------------------------------------


def test_a_cohort_of_delivered_samples_is_planned_with_the_newest_of_each(world: World) -> None:
    deliver(world, "A")
    newest = deliver(world, "A", content="b")
    analyse(world, "A", Stage.GATHERED, content="c")
    other = deliver(world, "B")
    found = drop(world, "B", "A")
    assert members(found) == [other.analysis, newest.analysis]
    assert found.plan is not None
    assert world.blobs.read(naming.cohort_plan_blob(found.plan.analysis)) == found.plan.to_json()
    assert world.blobs.facts(naming.open_entry(found.plan.analysis)) is not None
    assert found.plan.received == world.clock.now


def test_the_choice_stays_until_the_cohort_is_uploaded_again(world: World, planned: CohortPlan) -> None:
    newer = deliver(world, "A", content="b")
    assert look(world).plan == planned
    world.clock.sleep(86_400)
    again = drop(world, "A", "B")
    assert again.plan is not None
    assert again.plan.analysis != planned.analysis
    assert newer.analysis in members(again)


def test_a_cohort_waits_for_a_delivery_which_starts_it(world: World) -> None:
    deliver(world, "A")
    held = analyse(world, "B", Stage.GATHERED, Stage.ANNOTATED)
    open_analysis(world, held)
    found = drop(world, "A", "B", "C")
    assert found.missing == ("B", "C")
    assert "2 of 3 samples have no delivered analysis yet: B, C" in found.waiting
    assert waits(world) == ["waiting/B/trio", "waiting/C/trio"]
    world.blobs.create(naming.result_marker("B", held.analysis, Stage.DELIVERED), b"{}")
    reconciler(world).on_marker(MarkerRef(held.analysis, Stage.DELIVERED, sample="B"))
    assert waits(world) == ["waiting/C/trio"]
    assert look(world).missing == ("C",)
    deliver(world, "C")  # its event is lost
    reconciler(world).reconcile()
    assert waits(world) == []
    (plan_blob,) = [name for name in world.blobs.names(Container.WORK) if name.endswith("/cohort.json")]
    assert plan_blob


def test_a_delivery_between_look_and_index_entry_is_seen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(world, "A")
    create = world.blobs.create

    def late(ref: naming.BlobRef, data: bytes) -> bool:
        if ref.name.startswith(naming.WAITING_PREFIX):
            monkeypatch.undo()
            deliver(world, "B")
        return create(ref, data)

    monkeypatch.setattr(world.blobs, "create", late)
    assert drop(world, "A", "B").plan is not None


def test_a_cohort_that_no_longer_names_a_sample_is_taken_off_its_index(world: World) -> None:
    drop(world, "A", "B")
    drop(world, "A", "C")
    reconciler(world).reconcile()
    assert waits(world) == ["waiting/A/trio", "waiting/C/trio"]
    world.blobs.remove(naming.cohort_blob(COHORT))
    reconciler(world).reconcile()
    assert waits(world) == []


def test_a_function_that_died_before_the_plan_is_made_up_for(world: World) -> None:
    deliver(world, "A")
    deliver(world, "B")
    world.blobs.put(naming.cohort_blob(COHORT), b'{"samples": ["A", "B"]}')
    world.blobs.kill_after = 3  # the choice and the two index entries are written, the plan is not
    with pytest.raises(BaseException, match=r"cohort\.json"):
        reconciler(world).on_cohort(COHORT)
    world.blobs.kill_after = None
    world.clock.sleep(30 * 86_400)  # the drop is no recent one any more
    reconciler(world).reconcile()
    assert [name for name in world.blobs.names(Container.WORK) if name.endswith("/cohort.json")]


@pytest.mark.parametrize("writes", range(5))
def test_a_waiting_cohort_killed_between_any_two_writes_is_planned_once(world: World, writes: int) -> None:
    deliver(world, "A")
    assert drop(world, "A", "B").missing == ("B",)
    world.clock.sleep(30 * 86_400)
    last = deliver(world, "B")
    world.blobs.kill_after = writes
    with contextlib.suppress(Killed):
        reconciler(world).on_cohort(COHORT)
    world.blobs.kill_after = None
    deliver(world, "A", content="b")  # whether it is chosen depends on whether the choice was written before
    for _ in range(2):
        world.clock.sleep(SETTINGS.stalled_seconds)
        reconciler(world).reconcile()
    (status,) = list_cohorts(world.blobs, SETTINGS.cohort_settings, SETTINGS.shard_bp)
    assert status["state"] == "joining"
    plan = look(world).plan
    assert plan is not None
    assert plan.members[1].analysis == last.analysis
    assert list(world.tasks.jobs) == [naming.job_id(plan.analysis)]
    assert waits(world) == []


def _released(world: World, plan: Plan) -> None:
    marker = DecidedMarker(
        analysis=plan.analysis, sample=plan.sample, decision=Decision.RELEASED, by="x", reason="fine",
        decided=world.clock.now,
    )  # fmt: skip
    world.blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.DECIDED), marker.to_json())


@pytest.mark.parametrize(
    ("stages", "word"),
    [
        ((Stage.GATHERED, Stage.FAILED), "has failed"),
        ((Stage.ANNOTATED, Stage.HELD), "is held"),
        ((Stage.ANNOTATED, Stage.HELD, Stage.REJECTED), "was rejected"),
    ],
)
def test_a_named_analysis_without_released_results_is_refused(
    world: World, stages: tuple[Stage, ...], word: str
) -> None:
    deliver(world, "A")
    deliver(world, "B")
    named = analyse(world, "B", *stages, content="b")
    found = drop(world, "A", {"sample": "B", "analysis": named.analysis})
    assert found.refused_id is not None
    marker = FailedMarker.model_validate_json(
        world.blobs.read(naming.result_marker(COHORT, found.refused_id, Stage.FAILED))
    )
    assert f"analysis {named.analysis} of sample B, which {word}" in marker.message
    look(world)
    (notice,) = world.publisher.notices
    assert (notice.type, notice.subject) == (COHORT_FAILED_NOTICE, f"cohorts/{found.refused_id}")


def test_a_named_analysis_under_way_or_just_released_is_waited_for(world: World) -> None:
    deliver(world, "A")
    named = analyse(world, "B", Stage.ANNOTATED, Stage.HELD)
    _released(world, named)
    assert drop(world, "A", {"sample": "B", "analysis": named.analysis}).missing == ("B",)


@pytest.mark.parametrize(
    ("samples", "fields", "why"),
    [
        (("A",), {}, "at least 2"),
        (("A", "A"), {}, "names A twice"),
        (("A", {"sample": "B", "analysis": "0" * 24}), {}, "which there is not"),
        (("A", "B"), {"reference": "hg38"}, "asks for reference bundle hg38"),
        (("A", "B"), {"cohort": "duo"}, "is cohort duo but lies in the folder trio"),
        (("A", "G"), {}, "called by bcftools, .* by gatk"),
        (("A", COHORT), {}, "the name of one of its samples"),
    ],
)
def test_what_never_can_be_joined_is_refused_and_filed(
    world: World, samples: tuple[Any, ...], fields: dict[str, Any], why: str
) -> None:
    deliver(world, "A")
    deliver(world, "B")
    deliver(world, "G", options={"caller": "gatk"})
    found = drop(world, *samples, **fields)
    assert re.search(why, found.refused)
    assert found.refused_id is not None
    assert world.blobs.facts(naming.result_marker(COHORT, found.refused_id, Stage.FAILED)) is not None
    assert waits(world) == []


def test_an_analysis_of_another_sample_and_a_folder_with_a_samples_drop_are_refused(world: World) -> None:
    other = deliver(world, "A")
    deliver(world, "B")
    assert "it is of sample A" in drop(world, "A", {"sample": "B", "analysis": other.analysis}).refused
    world.blobs.put(naming.order_blob(COHORT), b"{}")
    assert "holds a sample's drop too" in drop(world, "A", "B").refused
    assert "must be 1 to 64 letters" in drop(world, "A", "B", folder="my trio").refused


def test_a_cohort_over_http_lies_where_an_uploaded_one_does(world: World) -> None:
    body = json.dumps({"cohort": COHORT, "samples": ["A", "B"]}).encode()
    assert [take_cohort(body, world.services) for _ in range(2)] == [(COHORT, True), (COHORT, False)]
    assert look(world).missing == ("A", "B")
    other = json.dumps({"cohort": COHORT, "samples": ["A", "C"]}).encode()
    with pytest.raises(CohortConflictError, match="replace=true"):
        take_cohort(other, world.services)
    assert take_cohort(other, world.services, replace_it=True) == (COHORT, True)
    assert look(world).missing == ("A", "C")
    with pytest.raises(PermanentError, match="`cohort` is missing"):
        take_cohort(b'{"samples": ["A", "B"]}', world.services)


# --- the task ----------------------------------------------------------------------------------------------


def on(world: World, plan: CohortPlan, stage: Stage, **where: Any) -> list[Any]:
    return reconciler(world).on_marker(MarkerRef(plan.analysis, stage, **where))


def test_a_plan_is_one_task_however_often_its_event_comes(world: World, planned: CohortPlan) -> None:
    for _ in range(2):
        assert on(world, planned, Stage.COHORT) == [SubmitTask(JointWork(), 0)]
    (request,) = world.tasks.jobs[naming.job_id(planned.analysis)].values()
    assert request.id == "joint-0"
    assert request.command[-6:] == ["run", "joint", planned.analysis, "0", "--threads", "1"]


def test_a_lost_event_and_a_dead_task_are_made_up_for_by_the_timer(world: World, planned: CohortPlan) -> None:
    job = naming.job_id(planned.analysis)
    world.clock.sleep(SETTINGS.stalled_seconds)
    reconciler(world).reconcile()
    assert list(world.tasks.jobs[job]) == ["joint-0"]
    world.tasks.end(job, "joint-0", 137, tail="Killed")
    world.clock.sleep(SETTINGS.stalled_seconds)
    reconciler(world).reconcile()
    record = FailureRecord.model_validate_json(
        world.blobs.read(naming.failure_record(planned.analysis, JointWork(), 0))
    )
    assert (record.kind, record.detail) == (FailureKind.TRANSIENT, "Killed")
    world.clock.sleep(3_600)
    assert on(world, planned, Stage.FAILURE, work=JointWork()) == [SubmitTask(JointWork(), 1)]


def file_failure(world: World, plan: CohortPlan, attempt: int = 0) -> None:
    record = FailureRecord(
        analysis=plan.analysis, work="joint", attempt=attempt, kind=FailureKind.PERMANENT, message="a torn GVCF",
        failed=world.clock.now,
    )  # fmt: skip
    world.blobs.create(naming.failure_record(plan.analysis, JointWork(), attempt), record.to_json())


def test_a_cohort_that_failed_is_told_and_may_be_tried_again(world: World, planned: CohortPlan) -> None:
    on(world, planned, Stage.COHORT)
    with pytest.raises(DecisionConflictError, match="now: joining"):
        retry(planned.analysis, BY, world.blobs, world.clock)
    file_failure(world, planned)
    on(world, planned, Stage.FAILURE, work=JointWork())
    (notice,) = world.publisher.notices
    assert notice.type == COHORT_FAILED_NOTICE
    assert notice.data == {"cohort": planned.analysis, "work": "joint"}
    status = cohort_status(planned.analysis, world.blobs)
    assert status is not None
    assert (status["state"], status["failed"]) == ("failed", "a torn GVCF")
    assert world.blobs.facts(naming.open_entry(planned.analysis)) is None
    retry(planned.analysis, BY, world.blobs, world.clock)
    assert on(world, planned, Stage.RETRIED, number=1) == [SubmitTask(JointWork(), 1)]
    assert list(world.tasks.jobs[naming.job_id(planned.analysis, 1)]) == ["joint-1"]


def file_joined(world: World, plan: CohortPlan) -> None:
    marker = {
        "analysis": plan.analysis, "started": "2026-03-02T12:00:00Z", "ended": "2026-03-02T12:00:00Z",
        "core_seconds": 1, "cohort": COHORT, "samples": ["A", "B"], "records": 7, "passing": 6, "gvcf_bytes": 1,
    }  # fmt: skip
    world.blobs.create(naming.result_marker(COHORT, plan.analysis, Stage.JOINED), json.dumps(marker).encode())


@pytest.mark.parametrize("by_timer", [False, True])
def test_a_joined_cohort_is_told_once_and_closed(world: World, planned: CohortPlan, by_timer: bool) -> None:
    on(world, planned, Stage.COHORT)
    file_joined(world, planned)
    for _ in range(2):
        if by_timer:
            reconciler(world).reconcile()
        else:
            on(world, planned, Stage.JOINED, sample=COHORT)
    (notice,) = world.publisher.notices
    assert (notice.type, notice.subject) == (JOINED_NOTICE, f"cohorts/{planned.analysis}")
    assert notice.data == {"cohort": planned.analysis, "samples": 2}
    assert world.tasks.finished == {naming.job_id(planned.analysis): "joined"}
    assert world.blobs.facts(naming.open_entry(planned.analysis)) is None


# --- status ------------------------------------------------------------------------------------------------


def listed(world: World, **options: Any) -> list[tuple[str, str]]:
    found = list_cohorts(world.blobs, SETTINGS.cohort_settings, SETTINGS.shard_bp, **options)
    return [(one["cohort"], one["state"]) for one in found]


def test_the_list_has_waiting_refused_and_planned_cohorts_and_those_of_before(world: World) -> None:
    deliver(world, "A")
    deliver(world, "B")
    first = drop(world, "A", "B").plan
    assert first is not None
    drop(world, "A", "Z", folder="waits")
    drop(world, "A", folder="wrong")
    assert listed(world) == [("trio", "joining"), ("waits", "waiting"), ("wrong", "refused")]
    file_joined(world, first)
    deliver(world, "A", content="b")
    world.clock.now += timedelta(days=1)
    drop(world, "A", "B")
    assert listed(world, cohort=COHORT) == [("trio", "joining"), ("trio", "joined")]
    status = cohort_status(first.analysis, world.blobs)
    assert status is not None
    assert (status["records"], status["results"]) == (7, [f"results/trio/{first.analysis}/joined.json"])
    assert cohort_status("0" * 24, world.blobs) is cohort_status("trio", world.blobs) is None
