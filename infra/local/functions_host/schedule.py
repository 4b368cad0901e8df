"""Timer schedules: NCRONTAB expressions and time spans; pure, in UTC."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from infra.local.functions_host.timespan import is_timespan, parse_timespan

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MAX_YEARS = 8  # the longest wait between two leap days, 1896 to 1904 and 2096 to 2104


class Schedule(Protocol):
    """When a timer fires."""

    def next_after(self, moment: datetime) -> datetime:
        """The first time later than `moment` (both UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Fires again and again after the same time."""

    seconds: float

    def next_after(self, moment: datetime) -> datetime:
        """`moment` plus the interval."""
        return moment + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Ncrontab:
    """`{second} {minute} {hour} {day} {month} {day of week}`; day and day of week must both fit."""

    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, moment: datetime) -> datetime:
        """The first fitting second later than `moment`.

        Raises:
            ValueError: No day ever fits, for example 30 February.
        """
        moment = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        day, earliest = moment.date(), moment.timetz().replace(tzinfo=None)
        for _ in range(_MAX_YEARS * 366):
            if self._fits(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes) if hour >= earliest.hour else ():
                        for second in sorted(self.seconds):
                            if (hour, minute, second) >= (earliest.hour, earliest.minute, earliest.second):
                                return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
            day, earliest = day + timedelta(days=1), earliest.min
        raise ValueError("the schedule fits no day")

    def _fits(self, day: date) -> bool:
        # date.isoweekday() counts Sunday as 7, NCRONTAB as 0
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays


def parse_schedule(text: str) -> Schedule:
    """A schedule from a time span (`hh:mm:ss`) or an NCRONTAB expression of six (or five) fields.

    Raises:
        ValueError: It is neither.
    """
    if is_timespan(text):
        seconds = parse_timespan(text)
        if seconds <= 0:
            raise ValueError(f"the interval {text!r} must be longer than nothing")
        return Interval(seconds)
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise ValueError(f"the schedule {text!r} has {len(fields)} fields; NCRONTAB has six, seconds first")
    second, minute, hour, day, month, weekday = fields
    schedule = Ncrontab(
        seconds=_field(second, 0, 59),
        minutes=_field(minute, 0, 59),
        hours=_field(hour, 0, 23),
        days=_field(day, 1, 31),
        months=_field(month, 1, 12, _MONTHS),
        weekdays=_field(weekday, 0, 6, _WEEKDAYS),
    )
    if not any(day <= calendar.monthrange(2024, month)[1] for month in schedule.months for day in schedule.days):
        raise ValueError(f"the schedule {text!r} fits no day of any month")
    return schedule


def _field(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(?P<span>\*|[^/*-]+(?:-[^/*-]+)?)(?:/(?P<step>\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} is no value, range (a-b) or step (*/n)")
        step = int(match["step"] or 1)
        if step < 1:
            raise ValueError(f"the step of {part!r} must be at least 1")
        if match["span"] == "*":
            first, last = low, high
        else:
            begin, _, end = match["span"].partition("-")
            first = _number(begin, low, high, names)
            # a step from one value runs to the end of the field, as in NCrontab
            last = _number(end, low, high, names) if end else (high if match["step"] else first)
        if last < first:
            raise ValueError(f"the range {part!r} runs backwards")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text.casefold()[:3] in names:
        return names.index(text.casefold()[:3]) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is no number from {low} to {high}")
    return int(text)
