"""Time spans as .NET writes them: `[d.]hh:mm[:ss[.fffffff]]`."""

import re

_FORM = re.compile(
    r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d{1,7})?))?"
)


def is_timespan(text: str) -> bool:
    """Whether a text has the form of a time span."""
    return _FORM.fullmatch(text.strip()) is not None


def parse_timespan(text: str) -> float:
    """Seconds of a time span.

    Raises:
        ValueError: It is none, or has more than 23 hours: .NET reads `24:00:00` as 24 days, which is never
        meant.

    >>> parse_timespan("00:00:30")
    30.0
    >>> parse_timespan("1.02:00:00")
    93600.0
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time span; write hh:mm:ss, for example 00:00:30")
    days, hours, minutes = int(match["days"] or 0), int(match["hours"]), int(match["minutes"])
    seconds = float(match["seconds"] or 0)
    if hours > 23:
        raise ValueError(f"{text!r} has {hours} hours; write days before a dot, for example 1.00:00:00")
    if minutes > 59 or seconds >= 60:
        raise ValueError(f"{text!r} has more than 59 minutes or seconds")
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
