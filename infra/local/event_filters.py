"""Event Grid subscriptions and the filters that decide which of them get an event; pure.

The semantics are those of Event Grid's basic tier: the event type, the subject and every advanced filter must
match (AND); the values of one advanced filter are alternatives (OR); text is compared without regard to case,
except for the subject's beginning and end when `isSubjectCaseSensitive` is set.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import PermanentError
from shared.formats.events import DeliverySchema

_MAX_VALUES = 25  # Event Grid's limit over all advanced filters of one subscription
_MAX_TEXT = 512  # Event Grid's limit on one text value, characters
_ABSENT: Any = object()

# The two schemas name the same attributes differently; a filter may use either name.
_SAME_ATTRIBUTE = {"type": "eventtype", "time": "eventtime", "source": "topic"}


@dataclass(frozen=True, slots=True)
class AdvancedFilter:
    """One condition on an attribute of the event.

    Attributes:
        operator: Event Grid's operatorType, for example StringContains.
        key: The attribute: `subject`, `eventType`, ..., or a path such as `data.contentLength`.
        values: The alternatives; one for operators that take a `value`, none for the null checks.
    """

    operator: str
    key: str
    values: tuple[Any, ...] = ()

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event (in either schema) fulfils the condition."""
        found = _attribute(event, self.key)
        if self.operator == "IsNullOrUndefined":
            return found is _ABSENT or found is None
        if self.operator == "IsNotNull":
            return found is not _ABSENT and found is not None
        positive, kind, test = _OPERATORS[self.operator]
        if found is _ABSENT or not _is_kind(found, kind):
            # Without a comparable attribute the "Not" operators match and all others do not.
            return not positive
        hit = any(test(found, value) for value in self.values)
        return hit if positive else not hit


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The filter of one subscription; attributes as in Event Grid's `filter`."""

    included_event_types: frozenset[str] | None
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    subject_is_case_sensitive: bool = False
    advanced: tuple[AdvancedFilter, ...] = ()

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether the subscription gets an event (in either schema)."""
        return self._envelope_matches(event) and all(one.matches(event) for one in self.advanced)

    def may_match(self, event_type: str, subject: str) -> bool:
        """Whether an event could match, judged by its type and subject alone."""
        event = {"eventType": event_type, "subject": subject}
        return self._envelope_matches(event) and all(
            one.matches(event) for one in self.advanced if _normal_key(one.key) in {"subject", "eventtype"}
        )

    def _envelope_matches(self, event: Mapping[str, Any]) -> bool:
        event_type = _attribute(event, "eventType")
        subject = _attribute(event, "subject")
        subject = "" if subject is _ABSENT else str(subject)
        wanted = self.included_event_types
        if wanted is not None and (event_type is _ABSENT or str(event_type).casefold() not in wanted):
            return False
        begins, ends = self.subject_begins_with, self.subject_ends_with
        if not self.subject_is_case_sensitive:
            subject, begins, ends = subject.casefold(), begins.casefold(), ends.casefold()
        return subject.startswith(begins) and subject.endswith(ends)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of `infra/subscriptions.json`: which events go to which queue, and in which shape."""

    name: str
    container: str
    queue: str
    schema: DeliverySchema
    filter: EventFilter


def load_subscriptions(path: Path) -> tuple[Subscription, ...]:
    """Read a subscriptions file.

    Raises:
        PermanentError: The file cannot be read, is no JSON list, or Event Grid would refuse one of its
        entries.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PermanentError(f"Cannot read the event subscriptions in {path}: {error}") from error
    if not isinstance(stored, list):
        raise PermanentError(f"{path} must hold a JSON list of event subscriptions.")
    subscriptions = tuple(parse_subscription(entry, where=f"{path}, entry {i}") for i, entry in enumerate(stored))
    names = [one.name for one in subscriptions]
    if len(set(names)) != len(names):
        raise PermanentError(f"{path} names an event subscription twice: {sorted(names)}.")
    return subscriptions


def parse_subscription(entry: Any, where: str) -> Subscription:
    """One entry of a subscriptions file.

    Raises:
        PermanentError: Something is missing, or Event Grid would refuse it.
    """
    try:
        return Subscription(
            name=_stored_text(entry, "name"),
            container=_stored_text(entry, "container"),
            queue=_stored_text(entry, "queue"),
            schema=DeliverySchema(entry.get("eventDeliverySchema", DeliverySchema.CLOUD_EVENTS.value)),
            filter=parse_filter(entry["filter"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PermanentError(f"{where}: not an event subscription: {error!r}") from error


def parse_filter(stored: Mapping[str, Any]) -> EventFilter:
    """A filter from its Event Grid JSON.

    Raises:
        ValueError: Event Grid would refuse it.
    """
    types = stored.get("includedEventTypes")
    advanced = tuple(_parse_advanced(one) for one in stored.get("advancedFilters") or ())
    count = sum(max(1, len(one.values)) for one in advanced)
    if count > _MAX_VALUES:
        raise ValueError(f"{count} values in advanced filters; Event Grid allows {_MAX_VALUES} in a subscription")
    return EventFilter(
        included_event_types=None if types is None else frozenset(str(name).casefold() for name in types),
        subject_begins_with=stored.get("subjectBeginsWith") or "",
        subject_ends_with=stored.get("subjectEndsWith") or "",
        subject_is_case_sensitive=bool(stored.get("isSubjectCaseSensitive", False)),
        advanced=advanced,
    )


def _parse_advanced(stored: Mapping[str, Any]) -> AdvancedFilter:
    operator, key = stored["operatorType"], stored["key"]
    if operator in _NULL_OPERATORS:
        return AdvancedFilter(operator, key)
    if operator not in _OPERATORS:
        raise ValueError(f"operatorType {operator!r} is none of {sorted([*_OPERATORS, *_NULL_OPERATORS])}")
    plural = operator not in _ONE_VALUE
    values: Sequence[Any] = stored["values"] if plural else [stored["value"]]
    if not isinstance(values, list) or not values:
        raise ValueError(f"{operator} on {key} needs a list of values")
    _, kind, _ = _OPERATORS[operator]
    for value in values:
        numbers = value if operator in _RANGES else [value]
        if operator in _RANGES and (not isinstance(value, list) or len(value) != 2):
            raise ValueError(f"{operator} on {key} needs pairs of numbers, got {value!r}")
        if not all(_is_kind(number, kind) for number in numbers):
            raise ValueError(f"{operator} on {key} cannot compare with {value!r}")
        if kind is str and len(value) > _MAX_TEXT:
            raise ValueError(f"a value of {operator} on {key} is longer than {_MAX_TEXT} characters")
    return AdvancedFilter(operator, key, tuple(tuple(v) if isinstance(v, list) else v for v in values))


def _stored_text(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be a text, got {value!r}")
    return value


def _normal_key(key: str) -> str:
    lower = key.casefold()
    return _SAME_ATTRIBUTE.get(lower, lower)


def _attribute(event: Mapping[str, Any], key: str) -> Any:
    """An attribute by its path, case-insensitively, under either schema's name; `_ABSENT` when not there."""
    found: Any = event
    for depth, step in enumerate(key.split(".")):
        if not isinstance(found, Mapping):
            return _ABSENT
        wanted = _normal_key(step) if depth == 0 else step.casefold()
        for name, value in found.items():
            if (_normal_key(name) if depth == 0 else name.casefold()) == wanted:
                found = value
                break
        else:
            return _ABSENT
    return found


def _is_kind(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _fold(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda found, value: test(found.casefold(), value.casefold())


def _in_range(found: Any, value: Any) -> bool:
    return bool(value[0] <= found <= value[1])  # both ends belong to the range


# operatorType: (whether a hit means a match, the kind it compares, the comparison)
_OPERATORS: dict[str, tuple[bool, type, Callable[[Any, Any], bool]]] = {
    "StringContains": (True, str, _fold(lambda found, value: value in found)),
    "StringNotContains": (False, str, _fold(lambda found, value: value in found)),
    "StringBeginsWith": (True, str, _fold(str.startswith)),
    "StringNotBeginsWith": (False, str, _fold(str.startswith)),
    "StringEndsWith": (True, str, _fold(str.endswith)),
    "StringNotEndsWith": (False, str, _fold(str.endswith)),
    "StringIn": (True, str, _fold(str.__eq__)),
    "StringNotIn": (False, str, _fold(str.__eq__)),
    "NumberIn": (True, float, lambda found, value: bool(found == value)),
    "NumberNotIn": (False, float, lambda found, value: bool(found == value)),
    "NumberLessThan": (True, float, lambda found, value: bool(found < value)),
    "NumberLessThanOrEquals": (True, float, lambda found, value: bool(found <= value)),
    "NumberGreaterThan": (True, float, lambda found, value: bool(found > value)),
    "NumberGreaterThanOrEquals": (True, float, lambda found, value: bool(found >= value)),
    "NumberInRange": (True, float, _in_range),
    "NumberNotInRange": (False, float, _in_range),
    "BoolEquals": (True, bool, lambda found, value: bool(found == value)),
}
_NULL_OPERATORS = frozenset({"IsNullOrUndefined", "IsNotNull"})
_RANGES = frozenset({"NumberInRange", "NumberNotInRange"})
_ONE_VALUE = frozenset(
    {"BoolEquals", "NumberLessThan", "NumberLessThanOrEquals", "NumberGreaterThan", "NumberGreaterThanOrEquals"}
)
