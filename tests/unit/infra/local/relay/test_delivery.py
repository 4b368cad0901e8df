"""Deliveries: due times, retries, faults, and the place from which a restart reads again."""

import random
import threading

import pytest
from azure.core.exceptions import ServiceRequestError

from infra.local.relay.delivery import Dispatcher, Faults, Progress

LIMIT_SECONDS = 10


@pytest.fixture
def dispatcher():
    one = Dispatcher(threads=1)
    yield one
    one.stop()


def test_without_faults_every_delivery_is_made_once_and_at_once():
    assert Faults().plan(random.Random(1)) == (0.0,)


def test_faults_follow_the_seed():
    faults = Faults(drop=0.3, duplicate=0.3, delay_seconds=2)
    choices, again, other = random.Random(7), random.Random(7), random.Random(8)
    plans = [faults.plan(choices) for _ in range(500)]
    assert plans == [faults.plan(again) for _ in range(500)]
    assert plans != [faults.plan(other) for _ in range(500)]
    counts = [len(plan) for plan in plans]
    assert 100 < counts.count(0) < 200
    assert 60 < counts.count(2) < 150
    assert all(0 <= delay <= 2 for plan in plans for delay in plan)


def test_certain_faults_are_certain():
    assert Faults(drop=1).plan(random.Random(1)) == ()
    assert len(Faults(duplicate=1).plan(random.Random(1))) == 2
    assert Faults(shuffle=True).plan(random.Random(1))[0] > 0


def test_a_restart_reads_again_from_the_first_line_with_open_work():
    progress = Progress(0)
    progress.begin(10)
    progress.begin(10)
    progress.begin(20)
    progress.read_to(30)
    assert (progress.done, progress.pending) == (10, 2)
    progress.end(20)
    progress.end(10)
    assert progress.done == 10
    progress.end(10)
    assert (progress.done, progress.pending) == (30, 0)


def test_jobs_run_at_their_due_times_not_in_their_order(dispatcher):
    order, ended = [], threading.Event()
    dispatcher.submit(lambda: order.append("late"), ended.set, delay_seconds=0.05)
    dispatcher.submit(lambda: order.append("early"), lambda: None, delay_seconds=0.01)
    assert ended.wait(LIMIT_SECONDS)
    assert order == ["early", "late"]


def test_a_storage_error_is_tried_again_until_it_succeeds(dispatcher, monkeypatch):
    monkeypatch.setattr("infra.local.relay.delivery._RETRY_SECONDS", 0)
    tries, ended = [], threading.Event()

    def work():
        tries.append(1)
        if len(tries) < 3:
            raise ServiceRequestError("connection refused")

    dispatcher.submit(work, ended.set)
    assert ended.wait(LIMIT_SECONDS)
    assert len(tries) == 3


def test_another_error_is_logged_and_does_not_stop_the_relay(dispatcher, caplog):
    ended = threading.Event()
    dispatcher.submit(lambda: {}["missing"], lambda: None)
    dispatcher.submit(lambda: None, ended.set)
    assert ended.wait(LIMIT_SECONDS)
    assert "could not be made" in caplog.text


def test_work_that_is_not_due_when_the_relay_stops_is_left_undone():
    dispatcher, done = Dispatcher(threads=1), []
    dispatcher.submit(lambda: None, lambda: done.append(1), delay_seconds=60)
    dispatcher.stop()
    assert done == []
