"""The OData subset of Batch's lists: `$filter` and `$select` over wire documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.local.batch_service.wire import JsonObject, WireError, parse_utc

Predicate = Callable[[Mapping[str, Any]], bool]
Value = str | int | float | bool | datetime | None

JOB_PROPERTIES = frozenset(
    {
        "id",
        "displayName",
        "state",
        "stateTransitionTime",
        "previousState",
        "previousStateTransitionTime",
        "creationTime",
        "lastModified",
        "priority",
        "eTag",
        "url",
        "executionInfo/startTime",
        "executionInfo/endTime",
        "executionInfo/poolId",
        "executionInfo/terminateReason",
        "constraints/maxTaskRetryCount",
        "constraints/maxWallClockTime",
        "poolInfo/poolId",
    }
)
TASK_PROPERTIES = frozenset(
    {
        "id",
        "displayName",
        "state",
        "stateTransitionTime",
        "previousState",
        "previousStateTransitionTime",
        "creationTime",
        "lastModified",
        "eTag",
        "url",
        "commandLine",
        "requiredSlots",
        "constraints/maxTaskRetryCount",
        "constraints/maxWallClockTime",
        "constraints/retentionTime",
        "executionInfo/startTime",
        "executionInfo/endTime",
        "executionInfo/exitCode",
        "executionInfo/result",
        "executionInfo/retryCount",
        "executionInfo/requeueCount",
        "executionInfo/lastRetryTime",
        "executionInfo/lastRequeueTime",
        "executionInfo/failureInfo/category",
        "executionInfo/failureInfo/code",
        "nodeInfo/nodeId",
        "nodeInfo/poolId",
    }
)
POOL_PROPERTIES = frozenset(
    {
        "id",
        "displayName",
        "state",
        "stateTransitionTime",
        "allocationState",
        "allocationStateTransitionTime",
        "creationTime",
        "lastModified",
        "eTag",
        "url",
        "vmSize",
        "taskSlotsPerNode",
        "enableAutoScale",
        "targetDedicatedNodes",
        "targetLowPriorityNodes",
        "currentDedicatedNodes",
        "currentLowPriorityNodes",
    }
)
FILE_PROPERTIES = frozenset({"name"})

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<date>DateTime'[^']*') |
        (?P<string>'(?:[^']|'')*') |
        (?P<number>-?\d+(?:\.\d+)?(?![\w/])) |
        (?P<mark>[(),]) |
        (?P<word>[A-Za-z_][\w/]*)
    )""",
    re.VERBOSE,
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
}
_CONSTANTS: Mapping[str, Value] = {"true": True, "false": False, "null": None}
_MAX_DEPTH = 50  # parentheses deeper than this are no query a person wrote; they would exhaust the stack


def _refuse(parameter: str, text: str, reason: str) -> WireError:
    return WireError(
        "InvalidQueryParameterValue",
        QueryParameterName=parameter,
        QueryParameterValue=text,
        Reason=reason,
    )


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise _refuse("$filter", text, f"unexpected character at position {position}")
        found.append(_Token(match.lastgroup, match.group(match.lastgroup)))
        position = match.end()
    return found


class _Parser:
    """Recursive descent over `or` < `and` < parentheses, comparisons and startswith()."""

    def __init__(self, text: str, properties: frozenset[str]) -> None:
        self._text = text
        self._properties = properties
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def parse(self) -> Predicate:
        predicate = self._or()
        if self._at != len(self._tokens):
            raise self._error(f"unexpected {self._tokens[self._at].text!r}")
        return predicate

    def _error(self, reason: str) -> WireError:
        return _refuse("$filter", self._text, reason)

    def _peek(self, text: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] in {
            _Token("word", text),
            _Token("mark", text),
        }

    def _take(self, kind: str, what: str) -> str:
        if self._at == len(self._tokens) or self._tokens[self._at].kind != kind:
            found = self._tokens[self._at].text if self._at < len(self._tokens) else "the end"
            raise self._error(f"expected {what}, found {found}")
        self._at += 1
        return self._tokens[self._at - 1].text

    def _mark(self, text: str) -> None:
        if not self._peek(text):
            raise self._error(f"expected {text!r}")
        self._at += 1

    def _or(self) -> Predicate:
        terms = [self._and()]
        while self._peek("or"):
            self._at += 1
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else lambda document: any(term(document) for term in terms)

    def _and(self) -> Predicate:
        terms = [self._term()]
        while self._peek("and"):
            self._at += 1
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else lambda document: all(term(document) for term in terms)

    def _term(self) -> Predicate:
        if self._peek("("):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise self._error(f"parentheses nest deeper than {_MAX_DEPTH}")
            self._at += 1
            inner = self._or()
            self._mark(")")
            self._depth -= 1
            return inner
        if self._peek("startswith"):
            return self._startswith()
        return self._comparison()

    def _property(self) -> str:
        name = self._take("word", "a property name")
        if name not in self._properties:
            raise self._error(f"{name} is no property that can be filtered on (names are case-sensitive)")
        return name

    def _startswith(self) -> Predicate:
        self._at += 1
        self._mark("(")
        name = self._property()
        self._mark(",")
        prefix = _unquote(self._take("string", "a quoted text")).casefold()
        self._mark(")")
        return lambda document: str(_fold(lookup(document, name)) or "").startswith(prefix)

    def _comparison(self) -> Predicate:
        name = self._property()
        operator = self._take("word", "an operator")
        if operator not in _COMPARISONS:
            raise self._error(f"{operator} is no operator; use one of {', '.join(_COMPARISONS)}")
        compare = _COMPARISONS[operator]
        wanted = self._value()

        def holds(document: Mapping[str, Any]) -> bool:
            found = lookup(document, name)
            if isinstance(wanted, datetime) and isinstance(found, str):
                with suppress(ValueError):  # a text that is no time is like any value of another type
                    found = parse_utc(found)
            found = _fold(found)
            if found is None or wanted is None:
                # OData: null is equal to null only, and nothing is before or after it.
                return (found is wanted) == (operator == "eq") if operator in {"eq", "ne"} else False
            try:
                return compare(found, wanted)
            except TypeError:
                return operator == "ne"

        return holds

    def _value(self) -> Value:
        if self._at == len(self._tokens):
            raise self._error("a value is missing at the end")
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "date":
            try:
                return parse_utc(token.text[len("DateTime'") : -1])
            except ValueError as error:
                raise self._error(f"{token.text} is no date and time") from error
        if token.kind == "string":
            return _unquote(token.text).casefold()
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.kind == "word" and token.text in _CONSTANTS:
            return _CONSTANTS[token.text]
        raise self._error(f"{token.text} is no value; texts go in single quotes")


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _fold(value: Any) -> Any:
    """Values compare without case; property names do not."""
    return value.casefold() if isinstance(value, str) else value


def lookup(document: Mapping[str, Any], path: str) -> Any:
    """Return the value at a slash-separated path of a document, or None where it has none."""
    value: Any = document
    for part in path.split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def parse_filter(text: str | None, properties: frozenset[str]) -> Predicate:
    """Return the predicate of a `$filter` text; no text lets everything pass.

    Args:
        text: For instance `state eq 'completed' and executionInfo/exitCode ne 0`.
        properties: Slash-separated names that may be filtered on.

    Raises:
        WireError: InvalidQueryParameterValue, with the reason.
    """
    if text is None or not text.strip():
        return lambda _document: True
    return _Parser(text, properties).parse()


def parse_select(text: str | None, properties: Iterable[str]) -> Callable[[JsonObject], JsonObject]:
    """Return a function that keeps the top-level properties named in a `$select` text.

    Args:
        text: Comma-separated property names, for instance `id,state,executionInfo`.
        properties: The names a document of this kind can have.

    Raises:
        WireError: InvalidQueryParameterValue for a name no document of this kind has.
    """
    if text is None or not text.strip():
        return lambda document: document
    names = {name.strip() for name in text.split(",")}
    if unknown := names - set(properties):
        raise _refuse("$select", text, f"unknown property {', '.join(sorted(unknown))}")
    return lambda document: {name: value for name, value in document.items() if name in names}
