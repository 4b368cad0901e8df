"""What goes over the wire: errors, times, durations and ETags in Azure Batch's spelling."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

JsonObject = dict[str, Any]

API_VERSION = "2025-06-01"
NO_LIMIT = "P10675199DT2H48M5.4775807S"
"""What the service returns for a duration nobody limited: the largest .NET TimeSpan."""
DEFAULT_RETENTION = "P7D"

_DURATION = re.compile(
    r"^P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?$"
)
_TICKS_PER_SECOND = 10_000_000
_UNIX_EPOCH_TICKS = 621_355_968_000_000_000  # .NET ticks (100 ns since year 1) at 1970-01-01

MESSAGES: Mapping[str, tuple[int, str]] = {
    "AuthenticationFailed": (
        403,
        (
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            "correctly including the signature."
        ),
    ),
    "ConditionNotMet": (412, "The condition specified using HTTP conditional header(s) is not met."),
    "FileNotFound": (404, "The specified file does not exist."),
    "InternalError": (500, "Server encountered an internal error. Please try again after some time."),
    "InvalidConstraintValue": (400, "A value in a job or task constraint is out of range."),
    "InvalidHeaderValue": (
        400,
        "The value provided for one of the HTTP headers was not in the correct format.",
    ),
    "InvalidPropertyValue": (
        400,
        "The value provided for one of the properties in the request body is invalid.",
    ),
    "InvalidQueryParameterValue": (
        400,
        "Value for one of the query parameters specified in the request URI is invalid.",
    ),
    "InvalidRange": (416, "The range specified is invalid for the current size of the resource."),
    "InvalidRequestBody": (400, "The specified request body is not syntactically valid."),
    "JobBeingDeleted": (409, "The specified job is being deleted."),
    "JobBeingTerminated": (409, "The specified job is being terminated."),
    "JobCompleted": (409, "The specified job is already in a completed state."),
    "JobExists": (409, "The specified job already exists."),
    "JobNotFound": (404, "The specified job does not exist."),
    "MissingRequiredProperty": (400, "A required property was not specified in the request body."),
    "MissingRequiredQueryParameter": (
        400,
        "A required query parameter was not specified in the request URI.",
    ),
    "OperationInvalidForCurrentState": (
        409,
        "The specified operation is not valid for the current state of the resource.",
    ),
    "OutOfRangePriority": (400, "The priority is outside the permitted range of -1000 to 1000."),
    "OutOfRangeQueryParameterValue": (
        400,
        "One of the query parameters specified in the request URI is outside the permissible range.",
    ),
    "PoolBeingDeleted": (409, "The specified pool is being deleted."),
    "PoolBeingResized": (409, "The specified pool is being resized."),
    "PoolExists": (409, "The specified pool already exists."),
    "PoolNotFound": (404, "The specified pool does not exist."),
    "RequestBodyTooLarge": (
        413,
        "The request body is too large and exceeds the maximum permissible limit.",
    ),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "TaskCompleted": (409, "The specified task is already in a completed state."),
    "TaskDependenciesNotSpecifiedOnJob": (
        409,
        "The task depends on other tasks, but the job does not set usesTaskDependencies.",
    ),
    "TaskExists": (409, "The specified task already exists."),
    "TaskFilesCleanedup": (
        409,
        "The files of the specified task are cleaned up: its retention time is over.",
    ),
    "TaskNotFound": (404, "The specified task does not exist."),
    "UnsupportedHttpVerb": (405, "The resource doesn't support the specified HTTP verb."),
    "UnsupportedProperty": (
        400,
        "One of the properties specified in the request body is not supported.",
    ),
    "UnsupportedRequestVersion": (400, f"Only api-version {API_VERSION} is supported."),
}


class WireError(Exception):
    """A request that the service refuses, with Batch's error code.

    Args:
        code: One of the codes in `MESSAGES`; it decides the HTTP status and the message.
        **details: What is wrong where, sent as `values` (keys in PascalCase by convention).
    """

    def __init__(self, code: str, **details: str) -> None:
        self.code = code
        self.status, self.text = MESSAGES[code]
        self.details = details
        super().__init__(f"{code}: {self.text} {details or ''}".rstrip())

    def element(self, request_id: str, now: str) -> JsonObject:
        """Return the error as the JSON object a client sees."""
        body: JsonObject = {
            "code": self.code,
            "message": {"lang": "en-US", "value": f"{self.text}\nRequestId:{request_id}\nTime:{now}"},
        }
        if self.details:
            body["values"] = [{"key": key, "value": value} for key, value in self.details.items()]
        return body


def utc_text(moment: datetime) -> str:
    """Return RFC 3339 UTC text with microseconds; texts compare as the moments do."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_utc(text: str) -> datetime:
    """Return the moment of RFC 3339 text.

    Raises:
        ValueError: The text is no date and time.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def http_date(moment: datetime) -> str:
    """Return an RFC 1123 date, as in `Last-Modified`; locale plays no part."""
    moment = moment.astimezone(UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} GMT"


def parse_duration(text: str) -> timedelta:
    """Return the length of an ISO 8601 duration of days, hours, minutes and seconds.

    Raises:
        ValueError: Anything else, years, months and weeks included (Batch takes none of them).

    Examples:
        >>> parse_duration("PT02H00M01S")
        datetime.timedelta(seconds=7201)
    """
    match = _DURATION.match(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is no ISO 8601 duration like PT1H30M")
    try:
        return timedelta(**{unit: float(value) for unit, value in match.groupdict(default="0").items()})
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than a duration can be") from error


_tick_lock = threading.Lock()
_tick_state = [0]


def new_etag(moment: datetime) -> str:
    """Return a fresh ETag: the moment in .NET ticks, as Batch makes them, and never the same twice."""
    ticks = _UNIX_EPOCH_TICKS + int(moment.timestamp() * _TICKS_PER_SECOND)
    with _tick_lock:
        _tick_state[0] = max(ticks, _tick_state[0] + 1)
        return f"0x{_tick_state[0]:X}"
