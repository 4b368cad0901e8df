"""Running functions, and what they get and give."""

import asyncio
import json
import random
import threading
from datetime import UTC, datetime

import azure.functions as func
import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from infra.local.functions_host.arguments import (
    http_argument,
    http_response,
    queue_argument,
    queue_messages,
    timer_argument,
)
from infra.local.functions_host.indexing import Binding, IndexedFunction
from infra.local.functions_host.invocation import Invoker
from infra.local.functions_host.queue_trigger import PollingDelay

LIMIT_SECONDS = 10
METADATA = {
    "Id": "m1",
    "PopReceipt": "r",
    "DequeueCount": 2,
    "InsertionTime": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "ExpirationTime": datetime(2026, 1, 9, tzinfo=UTC),
    "NextVisibleTime": None,
}


def function(call, *outputs, trigger_type=func.QueueMessage, context=False):
    trigger = Binding("msg", "queueTrigger", {})
    return IndexedFunction("f", call, trigger, outputs, context, asyncio.iscoroutinefunction(call), trigger_type)


def outcome_of(one, argument="x", timeout_seconds=None, send_outputs=lambda *_: None):
    invoker = Invoker("/app", timeout_seconds, send_outputs, threads=1)
    outcomes, ended = [], threading.Event()
    try:
        invoker.start(one, argument, lambda outcome: (outcomes.append(outcome), ended.set()), "test")
        assert ended.wait(LIMIT_SECONDS)
        assert invoker.drain(LIMIT_SECONDS)
        return outcomes[0], invoker.counts("f")
    finally:
        invoker.close()


def test_a_plain_function_gets_its_argument_and_its_outcome_is_told():
    seen = []

    def work(msg):
        seen.append(msg)

    outcome, counts = outcome_of(function(work))
    assert (seen, outcome.error, counts) == (["x"], None, {"succeeded": 1, "failed": 0})


def test_a_coroutine_function_runs():
    seen = []

    async def work(msg, context):
        await asyncio.sleep(0)
        seen.append((msg, context.function_name, bool(context.invocation_id)))

    outcome, _ = outcome_of(function(work, context=True))
    assert (outcome.error, seen) == (None, [("x", "f", True)])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_a_function_raises_is_its_outcome(asynchronous):
    def plain(msg):
        raise ValueError("bad")

    async def coroutine(msg):
        raise ValueError("bad")

    outcome, counts = outcome_of(function(coroutine if asynchronous else plain))
    assert isinstance(outcome.error, ValueError)
    assert counts == {"succeeded": 0, "failed": 1}


def test_a_value_without_a_return_binding_is_an_error_as_in_the_worker():
    outcome, _ = outcome_of(function(lambda msg: 5))
    assert "without a $return binding" in str(outcome.error)


def test_outputs_are_sent_before_the_run_counts_as_done():
    sent = []

    def work(msg, out):
        out.set("given")

    outcome, _ = outcome_of(
        function(work, Binding("out", "queue", {})),
        send_outputs=lambda _, outcome: sent.append(outcome.outputs),
    )
    assert (sent, outcome.error) == ([{"out": "given"}], None)


def test_a_run_whose_outputs_cannot_be_sent_has_failed():
    def refuse(*_):
        raise TypeError("no such output")

    outcome, _ = outcome_of(function(lambda msg: None), send_outputs=refuse)
    assert isinstance(outcome.error, TypeError)


def test_a_run_over_its_timeout_has_failed_and_its_late_result_is_ignored():
    go_on = threading.Event()

    def hang(msg):
        go_on.wait(LIMIT_SECONDS)

    outcome, counts = outcome_of(function(hang), timeout_seconds=0.05)
    go_on.set()
    assert isinstance(outcome.error, TimeoutError)
    assert counts == {"succeeded": 0, "failed": 1}


def test_a_run_that_has_not_begun_when_the_host_stops_never_begins():
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def hold(msg):
        calls.append(msg)
        begun.set()
        go_on.wait(LIMIT_SECONDS)

    invoker = Invoker("/app", None, lambda *_: None, threads=1)
    try:
        for name in ("first", "second"):
            invoker.start(function(hold), name, lambda _: None, "test")
        assert begun.wait(LIMIT_SECONDS)
        invoker.refuse_waiting()
        go_on.set()
        assert invoker.drain(LIMIT_SECONDS)
        assert calls == ["first"]
    finally:
        go_on.set()
        invoker.close()


def test_a_queue_message_has_the_metadata_of_the_worker():
    message = queue_argument(function(lambda msg: None), b"text", METADATA)
    assert isinstance(message, func.QueueMessage)
    assert (message.get_body(), message.id, message.dequeue_count, message.pop_receipt) == (b"text", "m1", 2, "r")
    assert message.insertion_time == METADATA["InsertionTime"]
    assert message.expiration_time == METADATA["ExpirationTime"]
    assert message.time_next_visible is None


def test_members_of_a_json_body_override_metadata_as_in_the_host():
    body = json.dumps({"id": "event", "dequeueCount": 9, "type": "t"}).encode()
    message = queue_argument(function(lambda msg: None), body, METADATA)
    assert (message.id, message.dequeue_count, message.pop_receipt) == ("event", 9, "r")


@pytest.mark.parametrize(("kind", "expected"), [(str, "ä"), (bytes, "ä".encode())])
def test_a_parameter_of_type_str_or_bytes_gets_the_body(kind, expected):
    assert queue_argument(function(lambda msg: None, trigger_type=kind), "ä".encode(), METADATA) == expected


def test_a_timer_request_tells_whether_it_is_late():
    request = timer_argument(True, None, datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(request, func.TimerRequest)
    assert request.past_due


def test_an_http_request_is_complete():
    built = EnvironBuilder(path="/api/x", method="POST", query_string="q=1&q=2", data=b'{"a": 1}', headers={"X-A": "b"})
    request = http_argument(Request(built.get_environ()), {"id": "7"})
    assert (request.method, request.params["q"], request.route_params["id"]) == ("POST", "1", "7")
    assert (request.headers["x-a"], request.get_body(), request.get_json()) == ("b", b'{"a": 1}', {"a": 1})
    assert request.url.endswith("/api/x?q=1&q=2")


@pytest.mark.parametrize(
    ("value", "status", "body", "content_type"),
    [
        (None, 204, b"", None),
        ("text", 200, b"text", "text/plain; charset=utf-8"),
        (func.HttpResponse("x", status_code=201), 201, b"x", "text/plain; charset=utf-8"),
        (func.HttpResponse(b"{}", mimetype="application/fhir+json"), 200, b"{}", "application/fhir+json"),
        (func.HttpResponse("x", headers={"Content-Type": "text/html"}), 200, b"x", "text/html"),
    ],
)
def test_http_responses(value, status, body, content_type):
    response = http_response(value)
    assert (response.status_code, response.get_data()) == (status, body)
    if content_type:
        assert response.headers.getlist("Content-Type") == [content_type]


def test_another_value_is_no_http_response():
    with pytest.raises(TypeError, match="dict"):
        http_response({})


def test_queue_outputs_may_be_one_or_many():
    given = ["a", b"b", func.QueueMessage(body="c")]
    assert queue_messages(given) == [b"a", b"b", b"c"]
    with pytest.raises(TypeError, match="int"):
        queue_messages(5)


def test_polling_slows_down_to_its_limit_and_is_fast_again_after_work():
    delay = PollingDelay(2.0, random.Random(1))
    waits = [delay.found_nothing() for _ in range(12)]
    assert 0.1 < waits[0] < 0.25
    assert waits == sorted(waits)
    assert waits[-1] == 2.0
    delay.found_work()
    assert delay.found_nothing() < 0.25
