"""$filter and $select."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.batch_service.odata import TASK_PROPERTIES, parse_filter, parse_select
from infra.local.batch_service.wire import WireError

TASK = {
    "id": "Align-1",
    "state": "completed",
    "stateTransitionTime": "2026-03-01T12:00:00.500000Z",
    "executionInfo": {"exitCode": 3, "result": "failure", "retryCount": 0},
}


def holds(text, document=TASK):
    return parse_filter(text, TASK_PROPERTIES)(document)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, True),
        ("  ", True),
        ("state eq 'COMPLETED'", True),  # values without case
        ("state ne 'completed'", False),
        ("executionInfo/exitCode eq 3", True),
        ("executionInfo/exitCode ge 3.5", False),
        ("executionInfo/exitCode lt 4", True),
        ("executionInfo/endTime eq null", True),
        ("executionInfo/endTime ne null", False),
        ("executionInfo/endTime gt DateTime'2000-01-01T00:00:00Z'", False),  # nothing is after null
        ("executionInfo/endTime ne 'x'", True),
        ("stateTransitionTime gt DateTime'2026-03-01T12:00:00Z'", True),
        ("stateTransitionTime gt DateTime'2026-03-01T13:00:00+00:30'", False),
        ("startswith(id, 'align')", True),
        ("startswith(displayName,'a')", False),
        ("id eq 'it''s'", False),
        ("state eq 'x' and state eq 'x' or id eq 'align-1'", True),  # and binds closer than or
        ("state eq 'x' and (state eq 'x' or id eq 'align-1')", False),
        ("((id eq 'align-1'))", True),
        ("id gt 7", False),  # a text and a number are never in order
        ("id ne 7", True),
        ("id eq DateTime'2026-03-01T12:00:00Z'", False),
    ],
)
def test_a_filter_holds_or_not(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("State eq 'x'", "State is no property"),
        ("state is 'x'", "is is no operator"),
        ("state eq", "a value is missing"),
        ("state eq x", "x is no value"),
        ("state eq 'x", "unexpected character at position 8"),
        ("(state eq 'x'", "expected '\\)'"),
        ("state eq 'x' id", "unexpected 'id'"),
        ("startswith(id)", "expected ','"),
        ("stateTransitionTime gt DateTime'today'", "is no date"),
        ("not state eq 'x'", "not is no property"),
        ("(" * 1000, "nest deeper"),
    ],
)
def test_a_bad_filter_is_refused_with_its_reason(text, reason):
    with pytest.raises(WireError, match=reason) as caught:
        holds(text)
    assert caught.value.code == "InvalidQueryParameterValue"


_QUOTED = st.text(max_size=10).map(lambda text: ("'" + text.replace("'", "''") + "'", text))


@given(_QUOTED)
def test_any_text_survives_quoting(quoted):
    literal, text = quoted
    assert holds(f"id eq {literal}", {"id": text})
    assert holds(f"startswith(id,{literal})", {"id": text + "tail"})


_COMPARISON = st.tuples(st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), st.integers(-5, 5)).map(
    lambda pair: (f"executionInfo/exitCode {pair[0]} {pair[1]}", pair)
)
_EXPRESSION = st.recursive(
    _COMPARISON,
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
        lambda triple: (f"({triple[0][0]}) {triple[1]} ({triple[2][0]})", triple)
    ),
    max_leaves=8,
)


def _expected(tree, code):
    operator, value = tree[1][0], tree[1][1]
    if len(tree[1]) == 3:
        left, word, right = tree[1]
        results = _expected(left, code), _expected(right, code)
        return all(results) if word == "and" else any(results)
    return {
        "eq": code == value,
        "ne": code != value,
        "gt": code > value,
        "ge": code >= value,
        "lt": code < value,
        "le": code <= value,
    }[operator]


@given(_EXPRESSION, st.integers(-5, 5))
def test_expressions_mean_what_they_say(tree, code):
    assert holds(tree[0], {"executionInfo": {"exitCode": code}}) is _expected(tree, code)


@given(st.text(alphabet="idstaeqnorx'()/, 01DTime.-", max_size=60))
def test_no_text_does_anything_but_filter_or_be_refused(text):
    with suppress(WireError):
        assert holds(text) in {True, False}


def test_select_keeps_the_named_properties():
    assert parse_select("id, state", TASK)(TASK) == {"id": "Align-1", "state": "completed"}
    assert parse_select(None, TASK)(TASK) == TASK


def test_select_refuses_a_property_that_no_document_has():
    with pytest.raises(WireError, match="unknown property color"):
        parse_select("id,color", TASK)
