"""A task's frame: done once, failed for good once, left to Batch otherwise."""

from collections.abc import Callable
from pathlib import Path

import pytest

from batch_worker.task import ExitStatus, TaskContext, run_task
from shared import naming
from shared.domain.markers import FailureKind, FailureRecord
from shared.domain.work import AlignWork, CallWork, ChunkKey, RecalibrateWork, Stage, Step, StepWork, Work
from shared.errors import PermanentError, TransientError
from shared.naming import BlobRef
from tests.drops import open_analysis
from tests.factories import make_failure, make_plan
from tests.fakes import World

PLAN = make_plan()
ALIGN = AlignWork(ChunkKey("S1_L001", 0))
ALIGN_CODE = "batch_worker.tasks.align.align"
WORKS = [
    (ALIGN, ALIGN_CODE, naming.aligned_marker(PLAN.analysis, ALIGN.chunk)),
    (
        RecalibrateWork(1),
        "batch_worker.tasks.recalibrate.recalibrate",
        naming.recalibrated_marker(PLAN.analysis, 1),
    ),
    (CallWork(2), "batch_worker.tasks.call.call", naming.called_marker(PLAN.analysis, 2)),
    (
        StepWork(Step.GATHER),
        "shared.steps.gather.gather",
        naming.result_marker(PLAN.sample, PLAN.analysis, Stage.GATHERED),
    ),
    (
        StepWork(Step.ANNOTATE),
        "shared.steps.annotate_analysis.annotate_analysis",
        naming.result_marker(PLAN.sample, PLAN.analysis, Stage.ANNOTATED),
    ),
]


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    return world


@pytest.fixture
def run(world: World, tmp_path: Path) -> Callable[..., int]:
    context = TaskContext(world.blobs, threads=2, directory=tmp_path, cache=tmp_path / "cache", clock=world.clock)

    def run_one(work: Work = ALIGN, attempt: int = 0) -> int:
        return int(run_task(work, PLAN.analysis, attempt, context))

    return run_one


def let(monkeypatch: pytest.MonkeyPatch, code: str, error: Exception | None = None) -> list[tuple[object, ...]]:
    """Put a stand-in in the place of a task's code; its calls."""
    calls: list[tuple[object, ...]] = []

    def stand_in(*args: object) -> None:
        calls.append(args)
        if error:
            raise error

    monkeypatch.setattr(code, stand_in)
    return calls


def records(world: World) -> list[str]:
    return world.blobs.names(naming.Container.WORK, f"{PLAN.analysis}/failed/")


def test_the_statuses_are_those_that_batch_and_operators_know() -> None:
    assert (ExitStatus.DONE, ExitStatus.BAD_DATA, ExitStatus.TRY_AGAIN) == (0, 65, 75)


@pytest.mark.parametrize(("work", "code", "marker"), WORKS)
def test_each_kind_of_task_runs_its_own_code_once(
    world: World, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, work: Work, code: str, marker: BlobRef
) -> None:
    calls = let(monkeypatch, code)
    assert run(work) == 0
    assert len(calls) == 1
    assert calls[0][0] == PLAN
    world.blobs.create(marker, b"{}")
    assert run(work) == 0  # a marker says that it is done
    assert len(calls) == 1
    assert records(world) == []


def test_the_scratch_folder_is_its_own_and_gone_afterwards(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = let(monkeypatch, ALIGN_CODE, OSError("the disk is full"))
    run()
    scratch = calls[0][-1]
    assert isinstance(scratch, Path)
    assert scratch.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_bad_data_is_recorded_and_told_as_such(
    world: World, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    let(monkeypatch, ALIGN_CODE, PermanentError("the chunk is damaged"))
    assert run(attempt=1) == 65
    record = FailureRecord.model_validate_json(world.blobs.read(naming.failure_record(PLAN.analysis, ALIGN, 1)))
    assert (record.work, record.attempt, record.kind) == (str(ALIGN), 1, FailureKind.PERMANENT)
    assert record.message == "the chunk is damaged"
    assert "PermanentError" in record.detail
    assert record.failed == world.clock.now


def test_a_restart_after_bad_data_ends_at_once(
    world: World, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = let(monkeypatch, ALIGN_CODE)
    world.blobs.create(naming.failure_record(PLAN.analysis, ALIGN, 0), make_failure(PLAN, ALIGN).to_json())
    assert run() == 65
    assert calls == []
    assert run(attempt=1) == 0  # the next attempt is another task
    assert len(calls) == 1


@pytest.mark.parametrize("error", [TransientError("away"), OSError("the disk is full"), MemoryError(), KeyError("x")])
def test_any_other_error_is_left_to_batch_without_a_record(
    world: World, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    let(monkeypatch, ALIGN_CODE, error)
    assert run() == 75
    assert records(world) == []


def test_a_storage_that_is_away_at_the_very_start_is_left_to_batch(
    world: World, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    let(monkeypatch, "tests.fakes.FakeBlobs.facts", TransientError("away"))
    assert run() == 75


def test_an_analysis_without_a_plan_is_bad_data(world: World, run: Callable[..., int]) -> None:
    world.blobs.remove(naming.plan_blob(PLAN.analysis))
    assert run() == 65
    assert len(records(world)) == 1


@pytest.mark.parametrize("work", [StepWork(Step.DELIVER), StepWork(Step.ARCHIVE)])
def test_work_of_a_function_is_refused(world: World, run: Callable[..., int], work: Work) -> None:
    assert run(work) == 65
    (name,) = records(world)
    data = world.blobs.read(naming.BlobRef(naming.Container.WORK, name))
    assert "is done by a function, not by a Batch task" in FailureRecord.model_validate_json(data).message
