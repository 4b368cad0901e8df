"""The loop with fakes: what an event applies, what the timer makes up for, and what failures leave behind."""

from collections.abc import Callable
from typing import Any

import pytest

from shared import naming
from shared.domain.actions import Close, ContinueSplit, OpenSplit, RunStep, Stop, SubmitTask
from shared.domain.markers import FailedMarker, FailureKind, FailureRecord
from shared.domain.plan import Plan
from shared.domain.work import AlignWork, CallWork, SplitWork, Stage, Step, StepWork, Work
from shared.errors import PermanentError, TransientError
from shared.naming import Container, MarkerRef, Queue
from shared.reconciler import FAILED_NOTICE
from tests.drops import (
    SAMPLE,
    drop_fastq,
    drop_order,
    file_aligned,
    install_bundle,
    open_analysis,
)
from tests.factories import NOON, make_plan
from tests.fakes import World
from tests.reconciling import ALIGN, PLAN, SHARDS, C, file_called, file_failure, file_result, on, reconciler

OTHER = make_plan(sample="NA00002")


@pytest.fixture
def world() -> World:
    world = World()
    for plan in (PLAN, OTHER):
        open_analysis(world, plan)
    return world


def record_of(world: World, work: Work, attempt: int = 0) -> FailureRecord:
    return FailureRecord.model_validate_json(world.blobs.read(naming.failure_record(PLAN.analysis, work, attempt)))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let the split of any read group raise."""

    def fail_with(error: Exception) -> None:
        def split(*_: object) -> None:
            raise error

        monkeypatch.setattr("shared.steps.split.split_read_group", split)

    return fail_with


# --- an event applies only what it is about ----------------------------------------------------------------


def test_a_new_plan_opens_all_its_splits_by_their_first_checkpoints(world: World) -> None:
    assert on(world, Stage.PLANNED) == [OpenSplit("L1"), OpenSplit("L2")]
    for group in ("L1", "L2"):
        assert world.blobs.facts(naming.checkpoint_blob(PLAN.analysis, group, 0)) is not None


def test_a_chunks_event_submits_its_own_task_and_no_others(world: World) -> None:
    for number in range(3):
        world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", number)), b"{}")
    assert on(world, Stage.CHUNK, read_group="L1", number=1) == [SubmitTask(AlignWork(C("L1", 1)), 0)]
    (request,) = world.tasks.jobs[naming.job_id(PLAN.analysis)].values()
    assert request.id == "align-L1-00001-0"
    assert request.command[-6:] == ["run", "align-L1-00001", PLAN.analysis, "0", "--threads", "1"]
    assert naming.job_id(OTHER.analysis) not in world.tasks.jobs


def test_the_same_event_twice_submits_one_task(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    for _ in range(2):
        on(world, Stage.CHUNK, read_group="L1", number=0)
    assert len(world.tasks.jobs[naming.job_id(PLAN.analysis)]) == 1


def test_the_settings_decide_command_slots_and_time_of_a_task(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    changed = reconciler(
        world, BATCH_WORKER_COMMAND="'/opt/my venv/python' -m batch_worker", BATCH_TASK_SLOTS=4, BATCH_TASK_SECONDS=60
    )
    changed.on_marker(MarkerRef(PLAN.analysis, Stage.CHUNK, read_group="L1"))
    (request,) = world.tasks.jobs[naming.job_id(PLAN.analysis)].values()
    assert request.command[:3] == ["/opt/my venv/python", "-m", "batch_worker"]
    assert request.command[-2:] == ["--threads", "4"]
    assert (request.slots, request.max_seconds) == (4, 60)


def test_the_last_aligned_chunk_submits_every_shard_at_once(world: World) -> None:
    for group in ("L1", "L2"):
        file_aligned(world, PLAN, group, 2)
    assert on(world, Stage.ALIGNED, read_group="L2", number=1) == [
        SubmitTask(CallWork(shard), 0) for shard in range(SHARDS)
    ]
    assert len(world.tasks.jobs[naming.job_id(PLAN.analysis)]) == SHARDS


def test_an_event_of_an_analysis_that_has_moved_on_does_nothing(world: World) -> None:
    file_called(world)
    before = len(world.blobs.events)
    assert on(world, Stage.PLANNED) == []
    assert on(world, Stage.CHUNK, read_group="L1", number=0) == []
    assert len(world.blobs.events) == before
    assert world.tasks.jobs == {}


def test_an_event_of_an_unknown_analysis_is_an_error() -> None:
    with pytest.raises(PermanentError, match="is not there"):
        on(World(), Stage.PLANNED)


def test_a_split_runs_in_the_function_under_a_claim(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, float]] = []

    def split(plan: Plan, group: str, number: int, blobs: Any, _clock: object, budget: float) -> None:
        with blobs.claim(naming.claim_blob(plan.analysis, SplitWork(group))) as free:
            assert not free
        seen.append((group, number, budget))

    monkeypatch.setattr("shared.steps.split.split_read_group", split)
    on(world, Stage.PLANNED)
    assert on(world, Stage.CHECKPOINT, read_group="L2", number=0) == [ContinueSplit("L2", 0)]
    assert seen == [("L2", 0, 300)]


def test_work_that_another_has_in_hand_is_left_to_it(world: World, failing: Callable[[Exception], None]) -> None:
    failing(AssertionError("the split was run twice"))
    on(world, Stage.PLANNED)
    with world.blobs.claim(naming.claim_blob(PLAN.analysis, SplitWork("L1"))):
        on(world, Stage.CHECKPOINT, read_group="L1", number=0, is_last_try=True)
    assert world.blobs.names(Container.WORK, f"{PLAN.analysis}/failed/") == []


def test_a_split_that_ended_between_look_and_claim_is_not_run_again(
    world: World, monkeypatch: pytest.MonkeyPatch, failing: Callable[[Exception], None]
) -> None:
    failing(AssertionError("the split was run twice"))
    on(world, Stage.PLANNED)
    claim = world.blobs.claim

    def claim_late(ref: naming.BlobRef) -> Any:
        file_aligned(world, PLAN, "L1", 1)
        return claim(ref)

    monkeypatch.setattr(world.blobs, "claim", claim_late)
    assert on(world, Stage.CHECKPOINT, read_group="L1", number=0) == [ContinueSplit("L1", 0)]


@pytest.mark.parametrize(
    ("reached", "step", "target"),
    [
        (None, Step.GATHER, "shared.steps.gather.gather"),
        (Stage.GATHERED, Step.ANNOTATE, "shared.steps.annotate_analysis.annotate_analysis"),
        (Stage.ANNOTATED, Step.DELIVER, "shared.steps.deliver.deliver"),
        (Stage.DELIVERED, Step.ARCHIVE, "shared.steps.archive.archive"),
    ],
)
def test_each_step_runs_after_the_marker_of_the_one_before(
    world: World, monkeypatch: pytest.MonkeyPatch, reached: Stage | None, step: Step, target: str
) -> None:
    ran: list[Plan] = []
    monkeypatch.setattr(target, lambda plan, *_, **__: ran.append(plan))
    file_called(world)
    if reached:
        file_result(world, reached, Stage.QC_REPORTED)
    assert on(world, reached or Stage.CALLED, number=0) == [RunStep(StepWork(step))]
    assert ran == [PLAN]


def test_the_gathered_marker_submits_the_quality_report_before_the_function_annotates(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def annotate(*_: object) -> None:
        assert [request.command[-5] for request in world.tasks.jobs[naming.job_id(PLAN.analysis)].values()] == [
            "report-qc"
        ]

    monkeypatch.setattr("shared.steps.annotate_analysis.annotate_analysis", annotate)
    file_called(world)
    file_result(world, Stage.GATHERED)
    report = SubmitTask(StepWork(Step.REPORT_QC), 0)
    assert on(world, Stage.GATHERED) == [RunStep(StepWork(Step.ANNOTATE)), report]


def test_archiving_closes_the_analysis(world: World) -> None:
    file_called(world)
    file_result(world, Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED)
    assert on(world, Stage.DELIVERED) == []  # the quality report still reads what archiving deletes
    file_result(world, Stage.QC_REPORTED)
    on(world, Stage.QC_REPORTED)
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is None
    assert world.blobs.facts(naming.open_entry(OTHER.analysis)) is not None
    assert world.tasks.finished == {naming.job_id(PLAN.analysis): "delivered"}
    assert on(world, Stage.ARCHIVED) == [Close()]
    assert world.publisher.notices == []


# --- failures ----------------------------------------------------------------------------------------------


def test_bad_data_is_recorded_and_then_ends_this_analysis_only(
    world: World, failing: Callable[[Exception], None]
) -> None:
    failing(PermanentError("R2 ends early"))
    on(world, Stage.PLANNED)
    on(world, Stage.CHECKPOINT, read_group="L1", number=0)
    record = record_of(world, SplitWork("L1"))
    assert (record.kind, record.message, record.attempt) == (FailureKind.PERMANENT, "R2 ends early", 0)
    others = world.blobs.contents(Container.WORK, OTHER.analysis)

    assert on(world, Stage.FAILURE, work=SplitWork("L1"), number=0) == [Stop(record)]
    data = world.blobs.read(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.FAILED))
    marker = FailedMarker.model_validate_json(data)
    assert (marker.work, marker.message, marker.sample) == ("split-L1", "R2 ends early", PLAN.sample)
    assert world.tasks.finished == {naming.job_id(PLAN.analysis): "failed: split-L1"}
    (notice,) = world.publisher.notices
    assert (notice.type, notice.id) == (FAILED_NOTICE, f"{PLAN.analysis}-failed")
    assert notice.data == {"analysis": PLAN.analysis, "work": "split-L1"}
    assert PLAN.sample not in str(notice)
    assert world.blobs.names(Container.WORK, naming.OPEN_PREFIX) == [naming.open_entry(OTHER.analysis).name]
    assert world.blobs.contents(Container.WORK, OTHER.analysis) == others


def test_a_notice_that_could_not_be_sent_is_sent_by_the_next_try_and_once_only(world: World) -> None:
    file_failure(world, SplitWork("L1"), kind=FailureKind.PERMANENT)
    world.publisher.is_up = False
    with pytest.raises(TransientError):
        on(world, Stage.FAILURE, work=SplitWork("L1"))
    world.publisher.is_up = True
    (action,) = on(world, Stage.FAILURE, work=SplitWork("L1"))
    assert isinstance(action, Stop)
    assert on(world, Stage.FAILURE, work=SplitWork("L1")) == [Close()]
    assert [notice.data["work"] for notice in world.publisher.notices] == ["split-L1"]
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is None


@pytest.mark.parametrize("error", [TransientError("the service is away"), OSError("the disk is full")])
def test_what_fails_for_now_is_left_to_the_queue_until_its_last_try(
    world: World, failing: Callable[[Exception], None], error: Exception
) -> None:
    failing(error)
    on(world, Stage.PLANNED)
    with pytest.raises(type(error)):
        on(world, Stage.CHECKPOINT, read_group="L1", number=0)
    assert world.blobs.names(Container.WORK, f"{PLAN.analysis}/failed/") == []
    on(world, Stage.CHECKPOINT, read_group="L1", number=0, is_last_try=True)
    record = record_of(world, SplitWork("L1"))
    assert (record.kind, record.attempt) == (FailureKind.TRANSIENT, 0)
    assert record.message == f"split-L1 failed for now: {error}"
    with world.blobs.claim(naming.claim_blob(PLAN.analysis, SplitWork("L1"))) as is_free:
        assert is_free


def test_each_failure_of_a_function_is_the_next_attempt(world: World, failing: Callable[[Exception], None]) -> None:
    failing(TransientError("away"))
    on(world, Stage.PLANNED)
    on(world, Stage.CHECKPOINT, read_group="L1", number=0, is_last_try=True)
    world.clock.sleep(3_600)
    on(world, Stage.CHECKPOINT, read_group="L1", number=0, is_last_try=True)
    assert record_of(world, SplitWork("L1"), 1).attempt == 1


def test_a_failed_task_is_submitted_again_as_the_next_attempt_once_its_delay_is_over(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    file_failure(world, ALIGN)
    assert on(world, Stage.FAILURE, work=ALIGN) == []
    world.clock.sleep(60)
    assert on(world, Stage.FAILURE, work=ALIGN) == [SubmitTask(ALIGN, 1)]
    assert list(world.tasks.jobs[naming.job_id(PLAN.analysis)]) == ["align-L1-00000-1"]


def test_the_last_attempt_ends_the_analysis(world: World) -> None:
    for attempt in range(4):
        file_failure(world, ALIGN, attempt=attempt)
    (action,) = on(world, Stage.FAILURE, work=ALIGN, number=3)
    assert isinstance(action, Stop)
    assert action.record.attempt == 3


# --- the timer ---------------------------------------------------------------------------------------------


def test_the_timer_leaves_analyses_alone_that_go_on(world: World) -> None:
    before = len(world.blobs.events)
    world.clock.sleep(599)
    assert reconciler(world).reconcile() == 2
    assert len(world.blobs.events) == before
    assert world.hints.sent == []


def test_the_timer_opens_the_split_of_a_stalled_plan(world: World) -> None:
    world.clock.sleep(601)
    reconciler(world).reconcile()
    for plan, group in ((PLAN, "L1"), (PLAN, "L2"), (OTHER, "S1_L001")):
        assert world.blobs.facts(naming.checkpoint_blob(plan.analysis, group, 0)) is not None


def test_the_timer_submits_what_a_lost_event_did_not(world: World) -> None:
    for number in range(2):
        world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", number)), b"{}")
    world.clock.sleep(601)
    reconciler(world).reconcile()
    assert list(world.tasks.jobs[naming.job_id(PLAN.analysis)]) == ["align-L1-00000-0", "align-L1-00001-0"]


@pytest.mark.parametrize(
    ("reached", "queue", "blob"),
    [
        ([], Queue.GATHER, naming.called_marker(PLAN.analysis, 0)),
        ([Stage.GATHERED], Queue.ANNOTATE, naming.result_marker(SAMPLE, PLAN.analysis, Stage.GATHERED)),
        ([Stage.ANNOTATED], Queue.DELIVER, naming.result_marker(SAMPLE, PLAN.analysis, Stage.ANNOTATED)),
        ([Stage.DELIVERED], Queue.ARCHIVE, naming.result_marker(SAMPLE, PLAN.analysis, Stage.DELIVERED)),
    ],
)
def test_the_timer_sends_long_work_to_the_queue_of_its_function(
    world: World, reached: list[Stage], queue: Queue, blob: naming.BlobRef
) -> None:
    file_called(world)
    file_result(world, *reached, *([Stage.QC_REPORTED] if reached else []))
    world.clock.sleep(601)
    reconciler(world).reconcile()
    assert world.hints.sent == [(queue, blob)]


def test_a_hint_of_the_timer_makes_its_function_do_the_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("shared.steps.split.split_read_group", lambda _plan, group, *_: ran.append(group))
    on(world, Stage.PLANNED)
    world.clock.sleep(601)
    reconciler(world).reconcile()
    assert [queue for queue, _ in world.hints.sent] == [Queue.SPLIT, Queue.SPLIT]
    for _, blob in world.hints.sent:
        marker = naming.parse_marker(blob.container, blob.name)
        assert marker is not None
        reconciler(world).on_marker(marker)
    assert ran == ["L1", "L2"]


def test_the_timer_records_a_task_that_died_without_a_word(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    on(world, Stage.CHUNK, read_group="L1", number=0)
    job = naming.job_id(PLAN.analysis)
    world.clock.sleep(601)
    reconciler(world).reconcile()
    assert world.blobs.names(Container.WORK, f"{PLAN.analysis}/failed/") == []  # it still runs
    world.tasks.end(job, "align-L1-00000-0", 137, tail="Killed")
    world.clock.sleep(601)
    reconciler(world).reconcile()
    record = record_of(world, ALIGN)
    assert (record.kind, record.attempt, record.detail) == (FailureKind.TRANSIENT, 0, "Killed")
    assert "ended without writing its marker: exit code 137" in record.message
    world.clock.sleep(61)
    reconciler(world).reconcile()
    assert list(world.tasks.jobs[job]) == ["align-L1-00000-0", "align-L1-00000-1"]


def test_the_timer_retries_a_failure_without_waiting_for_a_stall(world: World) -> None:
    world.blobs.create(naming.chunk_marker(PLAN.analysis, C("L1", 0)), b"{}")
    file_failure(world, ALIGN, failed=NOON)
    world.clock.sleep(60)
    reconciler(world).reconcile()
    assert "align-L1-00000-1" in world.tasks.jobs[naming.job_id(PLAN.analysis)]


def test_the_timer_stops_an_analysis_whose_failure_event_was_lost(world: World) -> None:
    file_failure(world, SplitWork("L1"), kind=FailureKind.PERMANENT)
    assert reconciler(world).reconcile() == 2
    assert world.blobs.facts(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.FAILED)) is not None
    assert reconciler(world).reconcile() == 1


def test_the_timer_closes_what_has_ended(world: World) -> None:
    file_called(world)
    file_result(world, Stage.DELIVERED, Stage.ARCHIVED)
    reconciler(world).reconcile()
    assert world.blobs.names(Container.WORK, naming.OPEN_PREFIX) == [naming.open_entry(OTHER.analysis).name]


def test_the_timer_makes_up_for_a_lost_event_of_a_drop(world: World) -> None:
    install_bundle(world.blobs)
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate, sample="NA00003")
    drop_order(world.blobs, "L1", sample="NA00003")
    assert reconciler(world).reconcile() == 2
    assert reconciler(world).reconcile() == 3


@pytest.mark.parametrize(("days", "seen"), [(1, ["NA00003"]), (3, [])])
def test_the_timer_looks_at_recent_drops_only(
    world: World, monkeypatch: pytest.MonkeyPatch, days: int, seen: list[str]
) -> None:
    drop_fastq(world.blobs, "L1", 1, sample="NA00003")
    world.blobs.put(naming.landing_blob("loose.fastq.gz"), b"x")
    world.clock.sleep(86_400 * days)
    timer = reconciler(world)
    looked: list[str] = []
    monkeypatch.setattr(timer, "on_landing", looked.append)
    timer.reconcile()
    assert looked == seen


def test_an_index_entry_without_a_plan_is_ingested_again(world: World) -> None:
    install_bundle(world.blobs)
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate)
    drop_order(world.blobs, "L1")
    (drop,) = reconciler(world).on_landing(SAMPLE)
    plan = drop.plan
    assert plan is not None
    world.blobs.remove(naming.plan_blob(plan.analysis))
    reconciler(world).reconcile()
    assert Plan.model_validate_json(world.blobs.read(naming.plan_blob(plan.analysis))) == plan


def test_what_is_broken_in_one_analysis_does_not_keep_the_others_waiting(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first = min(PLAN.analysis, OTHER.analysis)
    broken, sound = (PLAN, OTHER) if PLAN.analysis == first else (OTHER, PLAN)
    world.blobs.put(naming.plan_blob(broken.analysis), b"{}")
    world.blobs.put(naming.landing_blob("A/order.json"), b"{")
    world.publisher.is_up = False  # the refusal of A cannot be told for now
    world.clock.sleep(601)
    assert reconciler(world).reconcile() == 2
    group = sound.read_groups[0].id
    assert world.blobs.facts(naming.checkpoint_blob(sound.analysis, group, 0)) is not None
    assert f"analysis {broken.analysis}: could not be looked at" in caplog.text
    assert "landing folder A: could not be looked at" in caplog.text


def test_a_refused_drop_is_told_once_however_often_the_timer_looks(world: World) -> None:
    world.blobs.put(naming.order_blob("NA00009"), b"{")
    for _ in range(3):
        reconciler(world).reconcile()
    (notice,) = world.publisher.notices
    assert notice.data["work"] == "ingest"
    assert "NA00009" not in str(notice)


def test_no_log_line_names_a_patient(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    file_failure(world, SplitWork("L1"), kind=FailureKind.PERMANENT)
    world.clock.sleep(3_600)
    reconciler(world).reconcile()
    assert caplog.text
    assert "P1" not in caplog.text
