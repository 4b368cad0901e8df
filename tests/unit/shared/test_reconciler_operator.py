"""What operators decide, as the loop carries it out: holding, releasing, rejecting and trying again."""

import contextlib
import json
from typing import Any

import pytest

from shared import naming
from shared.domain.actions import Close, RunStep, Stop, SubmitTask
from shared.domain.markers import Decision, FailureKind
from shared.domain.plan import Plan
from shared.domain.thresholds import Limit, Missed
from shared.domain.work import SplitWork, Stage, Step, StepWork
from shared.errors import TransientError
from shared.naming import Container, Queue
from shared.steps.decide import DecisionConflictError, DecisionRequest, decide, retry
from tests.drops import file_annotated, open_analysis
from tests.fakes import Killed, World
from tests.reconciling import ALIGN, PLAN, C, file_called, file_failure, file_result, on, reconciler

MISSED = (Missed(figure="mean_depth", value=12.4, limit=Limit(min=30)),)


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    return world


# --- holding -----------------------------------------------------------------------------------------------


def file_decision(world: World, decision: Decision) -> None:
    request = DecisionRequest(by="qa", reason="Because")
    decide(PLAN.analysis, request, decision, world.blobs, world.clock)


def test_a_flagged_sample_is_held_then_waits_and_the_timer_does_not_ask_batch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    assert on(world, Stage.ANNOTATED) == [RunStep(StepWork(Step.HOLD))]
    assert on(world, Stage.ANNOTATED) == []
    assert len(world.fhir.bundles) == 1
    monkeypatch.setattr(world.tasks, "reports", None)  # would raise when called
    world.clock.sleep(86_400)
    assert reconciler(world).reconcile() == 1
    assert world.hints.sent == []


def test_a_rejected_sample_is_cancelled_and_archived_without_a_result(world: World) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    on(world, Stage.ANNOTATED)
    file_decision(world, Decision.REJECTED)
    assert on(world, Stage.ANNOTATED) == []  # a late event: rejecting is what `decided` is about
    assert on(world, Stage.DECIDED) == [RunStep(StepWork(Step.REJECT))]
    assert on(world, Stage.REJECTED) == [RunStep(StepWork(Step.ARCHIVE))]
    statuses = [
        entry["resource"]["status"]
        for bundle in world.fhir.bundles
        for entry in json.loads(bundle)["entry"]
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    ]
    assert statuses == ["registered", "cancelled"]
    assert {table for table, _ in world.lake.tables} == {"qc"}
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is None
    assert on(world, Stage.ARCHIVED) == [Close()]


def test_a_released_sample_is_delivered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Plan] = []
    monkeypatch.setattr("shared.steps.deliver.deliver", lambda plan, *_, **__: ran.append(plan))
    file_annotated(world, PLAN, missed=MISSED)
    on(world, Stage.ANNOTATED)
    file_decision(world, Decision.RELEASED)
    assert on(world, Stage.DECIDED) == [RunStep(StepWork(Step.DELIVER))]
    assert ran == [PLAN]


def test_a_hold_that_comes_late_never_overwrites_what_was_decided(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubled event: its look at the markers was before the hold, its claim comes after the rejection."""
    file_annotated(world, PLAN, missed=MISSED)
    claim = world.blobs.claim

    def claim_late(ref: naming.BlobRef) -> Any:
        monkeypatch.setattr(world.blobs, "claim", claim)
        on(world, Stage.ANNOTATED)
        file_decision(world, Decision.REJECTED)
        on(world, Stage.DECIDED)
        return claim(ref)

    monkeypatch.setattr(world.blobs, "claim", claim_late)
    assert on(world, Stage.ANNOTATED) == [RunStep(StepWork(Step.HOLD))]
    assert len(world.fhir.bundles) == 2
    assert b'"cancelled"' in world.fhir.bundles[-1]


def test_hold_deliver_and_reject_of_one_analysis_never_run_at_once(world: World) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    with world.blobs.claim(naming.claim_blob(PLAN.analysis, StepWork(Step.DELIVER))):
        on(world, Stage.ANNOTATED)
    assert world.fhir.bundles == []


def test_a_decision_that_meets_another_step_is_delivered_again_by_the_queue(world: World) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    on(world, Stage.ANNOTATED)
    file_decision(world, Decision.REJECTED)
    with world.blobs.claim(naming.claim_blob(PLAN.analysis, StepWork(Step.DELIVER))):
        with pytest.raises(TransientError, match="waits for another step"):
            on(world, Stage.DECIDED)
        on(world, Stage.DECIDED, is_last_try=True)
    assert world.blobs.names(Container.WORK, f"{PLAN.analysis}/failed/") == []
    on(world, Stage.DECIDED)
    assert len(world.fhir.bundles) == 2


def test_the_timer_makes_up_for_the_lost_events_of_a_held_sample(world: World) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    expected = []
    for stage, then in ((Stage.ANNOTATED, Decision.REJECTED), (Stage.DECIDED, None), (Stage.REJECTED, None)):
        world.clock.sleep(601)
        reconciler(world).reconcile()
        queue = Queue.ARCHIVE if stage is Stage.REJECTED else Queue.DELIVER
        expected.append((queue, naming.result_marker(PLAN.sample, PLAN.analysis, stage)))
        assert world.hints.sent == expected
        on(world, stage)
        if then:
            file_decision(world, then)
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is None


def test_holding_is_tried_for_as_long_as_delivering(world: World) -> None:
    file_annotated(world, PLAN, missed=MISSED)
    for attempt in range(11):
        file_failure(world, StepWork(Step.HOLD), attempt=attempt)
    world.clock.sleep(3_600)
    assert on(world, Stage.FAILURE, work=StepWork(Step.HOLD), number=10) == [RunStep(StepWork(Step.HOLD))]


@pytest.mark.parametrize("decision", Decision)
def test_a_process_that_dies_between_any_two_writes_changes_nothing_of_the_end(
    decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deliver(plan: Plan, services: Any, **_: Any) -> None:
        services.blobs.create(naming.result_marker(plan.sample, plan.analysis, Stage.DELIVERED), b"{}")

    monkeypatch.setattr("shared.steps.deliver.deliver", deliver)
    ends = set()
    for writes in range(40):
        world = World()
        open_analysis(world, PLAN)
        file_annotated(world, PLAN, missed=MISSED)
        world.blobs.kill_after = writes
        deaths = 0
        for _ in range(20):
            try:
                bring_on(world, decision)
            except Killed:
                world.blobs.kill_after = None
                deaths += 1
        reports = [report_status(bundle) for bundle in world.fhir.bundles]
        assert list(dict.fromkeys(reports)) == ["registered", *(["cancelled"] if decision == "rejected" else [])]
        assert world.blobs.names(Container.WORK, naming.OPEN_PREFIX) == []
        results = world.blobs.contents(Container.RESULTS)
        ends.add(tuple(sorted(results)))
        if not deaths:
            break
    assert writes > 5
    assert len(ends) == 1


def bring_on(world: World, decision: Decision) -> None:
    """One look of the timer with the functions that it hints at, and of an operator."""
    world.clock.sleep(3_601)
    world.hints.sent.clear()
    reconciler(world).reconcile()
    for _, blob in world.hints.sent:
        marker = naming.parse_marker(blob.container, blob.name)
        assert marker is not None
        reconciler(world).on_marker(marker)
    with contextlib.suppress(DecisionConflictError):  # not held yet
        file_decision(world, decision)


def report_status(bundle: bytes) -> str:
    """The status of the report in a bundle."""
    entries = json.loads(bundle)["entry"]
    (report,) = [one["resource"] for one in entries if one["resource"]["resourceType"] == "DiagnosticReport"]
    return str(report["status"])


# --- an operator's retry -----------------------------------------------------------------------------------


def try_again(world: World) -> None:
    retry(PLAN.analysis, DecisionRequest(by="ops", reason="It is back"), world.blobs, world.clock)


def test_what_failed_is_tried_again_in_a_job_of_its_own_and_old_failures_are_past(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    for attempt in range(4):
        file_failure(world, ALIGN, attempt=attempt)
    on(world, Stage.FAILURE, work=ALIGN, number=3)
    assert on(world, Stage.CHUNK, read_group="L1", number=0) == []
    try_again(world)
    assert SubmitTask(ALIGN, 4) in on(world, Stage.RETRIED, number=1)
    (job,) = world.tasks.jobs
    assert job == naming.job_id(PLAN.analysis, 1) != naming.job_id(PLAN.analysis)
    assert list(world.tasks.jobs[job]) == ["align-L1-00000-4"]
    assert on(world, Stage.FAILURE, work=ALIGN, number=3) == [SubmitTask(ALIGN, 4)]  # a late event stops nothing


def test_a_retry_that_fails_ends_as_the_first_round_did_and_is_told_again(world: World) -> None:
    work = SplitWork("L1")
    file_failure(world, work, kind=FailureKind.PERMANENT)
    on(world, Stage.FAILURE, work=work)
    try_again(world)
    on(world, Stage.RETRIED, number=1)
    file_failure(world, work, kind=FailureKind.PERMANENT, attempt=1)
    (action,) = on(world, Stage.FAILURE, work=work, number=1)
    assert isinstance(action, Stop)
    assert world.blobs.facts(naming.failed_marker(PLAN.sample, PLAN.analysis, 1)) is not None
    assert list(world.tasks.finished) == [naming.job_id(PLAN.analysis), naming.job_id(PLAN.analysis, 1)]
    assert [notice.id for notice in world.publisher.notices] == [
        f"{PLAN.analysis}-failed",
        f"{PLAN.analysis}-failed-1",
    ]
    assert on(world, Stage.FAILURE, work=work, number=1) == [Close()]
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is None


def test_the_end_of_the_round_before_that_comes_late_does_not_lose_the_retry(world: World) -> None:
    file_failure(world, SplitWork("L1"), kind=FailureKind.PERMANENT)
    on(world, Stage.FAILURE, work=SplitWork("L1"))
    try_again(world)
    world.blobs.remove(naming.open_entry(PLAN.analysis))  # by a second look at the failure, begun before the retry
    on(world, Stage.RETRIED, number=1)
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is not None


def test_the_timer_makes_up_for_the_lost_event_of_a_retry_and_asks_its_own_job(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    on(world, Stage.CHUNK, read_group="L1", number=0)
    world.tasks.end(naming.job_id(PLAN.analysis), "align-L1-00000-0", 1)
    file_failure(world, SplitWork("L2"), kind=FailureKind.PERMANENT)
    on(world, Stage.FAILURE, work=SplitWork("L2"))
    try_again(world)
    world.clock.sleep(601)
    reconciler(world).reconcile()
    assert list(world.tasks.jobs[naming.job_id(PLAN.analysis, 1)]) == ["align-L1-00000-0"]
    assert world.blobs.names(Container.WORK, f"{PLAN.analysis}/failed/align") == []  # the old job's end is no failure


def test_archiving_ends_the_job_of_the_newest_round(world: World) -> None:
    file_called(world)
    file_failure(world, StepWork(Step.DELIVER), kind=FailureKind.PERMANENT)
    file_result(world, Stage.GATHERED, Stage.ANNOTATED)
    on(world, Stage.FAILURE, work=StepWork(Step.DELIVER))
    try_again(world)
    file_result(world, Stage.DELIVERED, Stage.QC_REPORTED)
    on(world, Stage.DELIVERED)
    assert world.tasks.finished[naming.job_id(PLAN.analysis, 1)] == "delivered"
