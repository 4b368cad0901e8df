"""The rules of how a task ends."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.batch_service.model import Job, Node, Pool, State, Task
from infra.local.batch_service.outcome import (
    Cause,
    Outcome,
    Verdict,
    exit_options,
    failure_info,
    failure_of,
    judge,
)
from infra.local.batch_service.wire import NO_LIMIT, utc_text

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def job(**spec):
    return Job(spec={"id": "J", "poolInfo": {"poolId": "P"}, **spec}, sequence=1, created=utc_text(NOW))


def task(**spec):
    made = Task(spec={"id": "T", "commandLine": "x", **spec}, sequence=2, created=utc_text(NOW), job_key="j")
    made.enter(State.ACTIVE, NOW)
    return made


@pytest.mark.parametrize(
    ("cause", "code", "retries", "limit", "verdict"),
    [
        (Cause.EXITED, 0, 0, 3, Verdict.DONE),
        (Cause.EXITED, 1, 0, 0, Verdict.DONE),
        (Cause.EXITED, 1, 0, 1, Verdict.RETRY),
        (Cause.EXITED, 1, 1, 1, Verdict.DONE),
        (Cause.EXITED, 1, 9999, -1, Verdict.RETRY),
        (Cause.NOT_STARTED, None, 0, 3, Verdict.DONE),
        (Cause.PREPROCESSING, None, 0, 3, Verdict.DONE),
        (Cause.TIMED_OUT, 137, 0, 3, Verdict.DONE),
        (Cause.TERMINATED, 137, 0, 3, Verdict.DONE),
        (Cause.REQUEUED, 137, 0, 0, Verdict.REQUEUE),
        (Cause.PREEMPTED, 137, 0, 0, Verdict.PREEMPT),
    ],
)
def test_what_becomes_of_a_task(cause, code, retries, limit, verdict):
    assert judge(Outcome(cause, code), retries, limit) is verdict


def test_only_an_exit_with_0_is_no_failure():
    assert failure_of(Outcome(Cause.EXITED, 0)) is None
    for cause in (Cause.TERMINATED, Cause.TIMED_OUT):
        assert failure_of(Outcome(cause, 0))["code"] == "TaskEnded"
    own = failure_info("BlobNotFound", "x")
    assert failure_of(Outcome(Cause.PREPROCESSING, failure=own)) is own


OPTIONS = {
    "exitCodes": [{"code": 3, "exitOptions": {"jobAction": "none"}}],
    "exitCodeRanges": [{"start": 1, "end": 5, "exitOptions": {"jobAction": "disable"}}],
    "default": {"jobAction": "terminate"},
}


@pytest.mark.parametrize(
    ("outcome", "action"),
    [
        (Outcome(Cause.EXITED, 3), "none"),
        (Outcome(Cause.EXITED, 5), "disable"),
        (Outcome(Cause.EXITED, 6), "terminate"),
        (Outcome(Cause.EXITED, 0), None),
        (Outcome(Cause.NOT_STARTED), "terminate"),
    ],
)
def test_exit_conditions_are_matched_by_code_then_range_then_default(outcome, action):
    assert exit_options(OPTIONS, outcome).get("jobAction") == action


def test_a_preprocessing_error_has_options_of_its_own():
    conditions = {**OPTIONS, "preProcessingError": {"jobAction": "none"}}
    assert exit_options(conditions, Outcome(Cause.PREPROCESSING)) == {"jobAction": "none"}


def test_a_task_keeps_what_the_wire_wants_at_each_step():
    made = task()
    made.start("P", "node", NOW)
    assert made.wire("http://h", job())["executionInfo"] == {
        "retryCount": 0,
        "requeueCount": 0,
        "startTime": utc_text(NOW),
    }
    made.again(Verdict.RETRY, NOW)
    info = made.wire("http://h", job())["executionInfo"]
    assert (info["retryCount"], info["lastRetryTime"]) == (1, utc_text(NOW))
    assert "startTime" not in info
    assert "nodeInfo" not in made.wire("http://h", job())
    made.start("P", "node", NOW)
    made.finish(Outcome(Cause.EXITED, 0), NOW)
    wire = made.wire("http://h", job())
    assert (wire["executionInfo"]["result"], wire["executionInfo"]["exitCode"]) == ("success", 0)
    assert "failureInfo" not in wire["executionInfo"]
    assert (wire["previousState"], wire["nodeInfo"]["nodeId"]) == ("running", "node")


def test_a_preemption_counts_neither_as_retry_nor_as_requeue():
    made = task()
    made.start("P", "node", NOW)
    made.again(Verdict.PREEMPT, NOW)
    assert (made.state, made.retry_count, made.requeue_count) == (State.ACTIVE, 0, 0)


def test_reactivation_gives_all_retries_back():
    made = task(constraints={"maxTaskRetryCount": 2})
    made.start("P", "node", NOW)
    made.again(Verdict.RETRY, NOW)
    made.start("P", "node", NOW)
    made.finish(Outcome(Cause.EXITED, 1), NOW)
    made.reactivate(NOW)
    assert (made.state, made.retry_count, made.result) == (State.ACTIVE, 0, None)


def test_limits_left_out_are_the_jobs_or_none():
    parent = job(constraints={"maxTaskRetryCount": 5})
    assert task().max_retries(parent) == 5
    assert task(constraints={"maxTaskRetryCount": 0}).max_retries(parent) == 0
    assert task().wall_clock_limit() is None
    assert task(constraints={"maxWallClockTime": NO_LIMIT}).wall_clock_limit() is None
    assert task(constraints={"maxWallClockTime": "PT1M"}).wall_clock_limit() == timedelta(minutes=1)
    assert job(constraints={"maxWallClockTime": "P9999999D"}).deadline() is None  # beyond the calendar


_STEPS = st.lists(st.sampled_from(["start", "retry", "requeue", "preempt", "ok", "bad", "reactivate"]), max_size=12)


@given(_STEPS)
def test_every_task_survives_being_written_and_read(steps):
    made = task(environmentSettings=[{"name": "A", "value": "b"}])
    for step in steps:
        if step == "start" and made.state is State.ACTIVE:
            made.start("P", "node", NOW)
        elif step in {"retry", "requeue", "preempt"} and made.state is State.RUNNING:
            made.again(Verdict(step), NOW)
        elif step in {"ok", "bad"} and made.state is State.RUNNING:
            made.finish(Outcome(Cause.EXITED, 0 if step == "ok" else 1), NOW)
        elif step == "reactivate" and made.state is State.COMPLETED:
            made.reactivate(NOW)
        assert Task.load(json.loads(json.dumps(made.dump()))) == made
        completed = made.state is State.COMPLETED
        assert (made.result is not None) == completed
        assert ("endTime" in made.wire("http://h", job())["executionInfo"]) == completed


def test_a_pool_places_a_task_on_the_emptiest_node_that_has_room():
    pool = Pool(spec={"id": "P", "taskSlotsPerNode": 4}, sequence=1, created="", dedicated=2, spot=0)
    pool.nodes = [Node(id="a-d", used=2), Node(id="b-p", used=1), Node(id="c-d", leaving=True)]
    assert pool.place(1).id == "b-p"
    assert pool.place(4) is None
    assert [node.is_dedicated for node in pool.nodes] == [True, False, True]


def test_a_stored_pool_comes_back_with_empty_nodes():
    pool = Pool(spec={"id": "P"}, sequence=1, created="", dedicated=1, spot=1)
    pool.nodes = [Node(id="gone", used=1)]
    loaded = Pool.load(json.loads(json.dumps(pool.dump())))
    assert [(node.id, node.used) for node in loaded.nodes] == [("tvm-p-0-d", 0), ("tvm-p-0-p", 0)]
