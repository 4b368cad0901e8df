"""An operator's decision on a held analysis: once, for one thing, and only on what is held."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import naming
from shared.domain.markers import DecidedMarker, Decision
from shared.domain.work import CallWork, Stage
from shared.errors import PermanentError
from shared.steps.decide import (
    DecisionConflictError,
    DecisionRequest,
    UnknownAnalysisError,
    decide,
    parse_request,
    retry,
)
from shared.steps.look import read_facts
from tests.drops import open_analysis
from tests.factories import NOON, make_failure, make_plan
from tests.fakes import World

PLAN = make_plan()
REQUEST = DecisionRequest(by="lab-director", reason="Deep enough for this gene.")
OTHER = DecisionRequest(by="somebody-else", reason="Changed my mind.")


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    return world


def file(world: World, *stages: Stage) -> None:
    for stage in stages:
        world.blobs.create(naming.result_marker(PLAN.sample, PLAN.analysis, stage), b"{}")


def hold(world: World) -> None:
    file(world, Stage.FLAGGED, Stage.GATHERED, Stage.ANNOTATED, Stage.HELD)


def decide_on(world: World, decision: Decision, request: DecisionRequest = REQUEST) -> DecidedMarker:
    return decide(PLAN.analysis, request, decision, world.blobs, world.clock)


@pytest.mark.parametrize("decision", Decision)
def test_a_held_analysis_is_decided_by_one_blob(world: World, decision: Decision) -> None:
    hold(world)
    marker = decide_on(world, decision)
    data = world.blobs.read(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.DECIDED))
    assert DecidedMarker.model_validate_json(data) == marker
    assert (marker.decision, marker.by, marker.reason) == (decision, "lab-director", "Deep enough for this gene.")
    assert marker.decided == NOON


def test_the_same_decision_again_is_answered_with_the_first(world: World) -> None:
    hold(world)
    first = decide_on(world, Decision.RELEASED)
    world.clock.sleep(60)
    assert decide_on(world, Decision.RELEASED, OTHER) == first


@pytest.mark.parametrize("ended", [(), (Stage.DELIVERED,), (Stage.DELIVERED, Stage.ARCHIVED), (Stage.FAILED,)])
def test_the_other_decision_afterwards_is_refused_with_who_decided(world: World, ended: tuple[Stage, ...]) -> None:
    hold(world)
    first = decide_on(world, Decision.RELEASED)
    file(world, *ended)
    with pytest.raises(DecisionConflictError, match="was released by lab-director at 2026-03-02T12:00:00"):
        decide_on(world, Decision.REJECTED, OTHER)
    assert decide_on(world, Decision.RELEASED) == first


@pytest.mark.parametrize("first", Decision)
def test_of_two_decisions_at_once_one_stands(world: World, monkeypatch: pytest.MonkeyPatch, first: Decision) -> None:
    hold(world)
    (second,) = set(Decision) - {first}
    create = world.blobs.create

    def create_late(ref: naming.BlobRef, data: bytes) -> bool:
        monkeypatch.setattr(world.blobs, "create", create)
        decide_on(world, first, OTHER)  # the other request gets in between look and write
        return create(ref, data)

    monkeypatch.setattr(world.blobs, "create", create_late)
    with pytest.raises(DecisionConflictError, match=f"was {first} by somebody-else"):
        decide_on(world, second)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ((), "is not held .now: splitting.. Only a sample that missed"),
        ((Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED, Stage.ARCHIVED), "is not held .now: completed"),
        ((Stage.FLAGGED, Stage.GATHERED), "about to be held .now: annotating.. Try again"),
        ((Stage.FLAGGED, Stage.GATHERED, Stage.ANNOTATED), "about to be held"),
        ((Stage.FLAGGED, Stage.GATHERED, Stage.FAILED), "has failed"),
    ],
)
def test_what_is_not_held_cannot_be_decided(world: World, stages: tuple[Stage, ...], words: str) -> None:
    file(world, *stages)
    for decision in Decision:
        with pytest.raises(DecisionConflictError, match=words):
            decide_on(world, decision)
    assert world.blobs.find(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.DECIDED)) is None


@pytest.mark.parametrize("analysis", ["", "0" * 24, "../plan", "x", "open"])
def test_an_unknown_analysis_is_told(world: World, analysis: str) -> None:
    with pytest.raises(UnknownAnalysisError):
        decide(analysis, REQUEST, Decision.RELEASED, world.blobs, world.clock)


def test_the_reason_is_put_on_one_line() -> None:
    body = json.dumps({"by": "QA manager", "reason": "  Two lines\n of\ttext "}).encode()
    assert parse_request(body) == DecisionRequest(by="QA manager", reason="Two lines of text")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (b'{"by": "a"}', "reason: Field required"),
        (b'{"by": "a", "reason": "  "}', "reason: String should have at least 3 characters"),
        (b'{"by": "", "reason": "abc"}', "by: String should match pattern"),
        (b'{"by": "a\\nb", "reason": "abc"}', "by: String should match pattern"),
        (b'{"by": "a", "reason": "a\\u0007bc"}', "reason: Value error, it holds characters that cannot be printed"),
        (b'{"by": "a", "reason": 3}', "reason: Input should be a valid string"),
        (b'{"by": "a", "reason": "abc", "final": true}', "final: Extra inputs are not permitted"),
    ],
)
def test_a_body_that_is_no_decision_is_refused_with_its_fields(body: bytes, words: str) -> None:
    with pytest.raises(PermanentError, match=words):
        parse_request(body)


def test_what_was_sent_is_not_repeated() -> None:
    with pytest.raises(PermanentError) as caught:
        parse_request(b'{"by": "secret/name", "reason": "secret", "patient": "secret"}')
    assert "secret" not in str(caught.value)


@given(
    st.binary(max_size=40) | st.text(max_size=40).map(lambda text: json.dumps({"by": text, "reason": text}).encode())
)
def test_any_body_is_read_or_refused_and_what_is_read_can_be_printed(body: bytes) -> None:
    try:
        request = parse_request(body)
    except PermanentError:
        return
    assert request.reason.isprintable()
    assert request.by.isprintable()


def fail(world: World, attempts: int, round_number: int = 0) -> None:
    """File failed attempts at one call, and the end of a round."""
    for attempt in range(attempts):
        record = make_failure(PLAN, CallWork(0), attempt=attempt)
        world.blobs.create(naming.failure_record(PLAN.analysis, record.work, attempt), record.to_json())
    world.blobs.create(naming.failed_marker(PLAN.sample, PLAN.analysis, round_number), b"{}")
    world.blobs.remove(naming.open_entry(PLAN.analysis))


def test_a_failed_analysis_is_tried_again_with_all_its_failures_past(world: World) -> None:
    fail(world, 4)
    before = read_facts(PLAN, world.blobs)
    assert (len(before.failures), Stage.FAILED in before.results, before.round) == (4, True, 0)
    marker = retry(PLAN.analysis, REQUEST, world.blobs, world.clock)
    assert (marker.round, marker.past, marker.by) == (1, {"call-00000": 4}, "lab-director")
    facts = read_facts(PLAN, world.blobs)
    assert (facts.failures, facts.results, facts.round) == ((), frozenset(), 1)
    assert facts.next_attempt("call-00000") == 4
    assert world.blobs.facts(naming.open_entry(PLAN.analysis)) is not None
    with pytest.raises(DecisionConflictError, match=r"has not failed .now: splitting"):
        retry(PLAN.analysis, REQUEST, world.blobs, world.clock)


def test_rounds_go_on_as_often_as_they_fail(world: World) -> None:
    fail(world, 4)
    retry(PLAN.analysis, REQUEST, world.blobs, world.clock)
    fail(world, 8, round_number=1)
    assert retry(PLAN.analysis, OTHER, world.blobs, world.clock).past == {"call-00000": 8}
    assert read_facts(PLAN, world.blobs).round == 2
    fail(world, 8, round_number=2)  # it ended without a further record
    assert retry(PLAN.analysis, OTHER, world.blobs, world.clock).past == {"call-00000": 8}


def test_of_two_retries_at_once_one_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(world, 1)
    create = world.blobs.create

    def create_late(ref: naming.BlobRef, data: bytes) -> bool:
        monkeypatch.setattr(world.blobs, "create", create)
        retry(PLAN.analysis, OTHER, world.blobs, world.clock)
        return create(ref, data)

    monkeypatch.setattr(world.blobs, "create", create_late)
    with pytest.raises(DecisionConflictError, match="Somebody else"):
        retry(PLAN.analysis, REQUEST, world.blobs, world.clock)
    assert read_facts(PLAN, world.blobs).round == 1


def test_a_retry_of_what_is_not_there_or_has_not_failed_is_refused(world: World) -> None:
    with pytest.raises(UnknownAnalysisError):
        retry("0" * 24, REQUEST, world.blobs, world.clock)
    with pytest.raises(DecisionConflictError, match="has not failed"):
        retry(PLAN.analysis, REQUEST, world.blobs, world.clock)
