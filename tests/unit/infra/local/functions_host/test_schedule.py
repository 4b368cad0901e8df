"""Timer schedules: NCRONTAB with seconds, and time spans."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.functions_host.schedule import Interval, parse_schedule
from infra.local.functions_host.timespan import is_timespan, parse_timespan

START = datetime(2026, 1, 31, 23, 59, 58, 500000, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("*/30 * * * * *", datetime(2026, 2, 1, tzinfo=UTC)),
        ("0 */5 * * * *", datetime(2026, 2, 1, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 2, 1, tzinfo=UTC)),  # five fields: at second 0
        ("15 30 9-17 * * *", datetime(2026, 2, 1, 9, 30, 15, tzinfo=UTC)),
        ("0 0 12 1,15 * *", datetime(2026, 2, 1, 12, tzinfo=UTC)),
        ("0 0 0 * * 1-5", datetime(2026, 2, 2, tzinfo=UTC)),
        ("0 0 0 * * Mon", datetime(2026, 2, 2, tzinfo=UTC)),
        ("0 0 0 * * 0", datetime(2026, 2, 1, tzinfo=UTC)),
        ("0 0 0 29 feb *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("0 0 0 31 * *", datetime(2026, 3, 31, tzinfo=UTC)),
        ("0 0 0 13 * FRI", datetime(2026, 2, 13, tzinfo=UTC)),  # day and day of week must both fit
        ("0 10/20 0 * * *", datetime(2026, 2, 1, 0, 10, tzinfo=UTC)),
        ("0 0 0 1 January *", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_next_time_of_a_cron_schedule(text, expected):
    assert parse_schedule(text).next_after(START) == expected


@given(
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["*/7 */11 */5 * * *", "59 59 23 * * *", "3 0 0 1-7 */2 1-5", "0 0 0 29 2 *"]),
)
def test_the_next_time_fits_and_is_later(moment, text):
    moment = moment.replace(tzinfo=UTC)
    schedule = parse_schedule(text)
    following = schedule.next_after(moment)
    assert following > moment
    # the second before the found time leads to it again: nothing between was jumped over
    assert schedule.next_after(following - timedelta(seconds=1)) == following


def test_a_time_span_is_an_interval():
    schedule = parse_schedule("00:05:00")
    assert schedule == Interval(300)
    assert schedule.next_after(START) == START + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("60 * * * * *", "0 to 59"),
        ("* * * 0 * *", "1 to 31"),
        ("* * * * * 7", "0 to 6"),
        ("*/0 * * * * *", "at least 1"),
        ("5-1 * * * * *", "backwards"),
        ("x * * * * *", "no number"),
        ("1- * * * * *", "no value"),
        ("0 0 0 31 2 *", "no day"),
        ("00:00:00", "longer than nothing"),
        ("24:00:00", "24 hours"),
    ],
)
def test_a_malformed_schedule_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:30", 30), ("00:10", 600), ("1.00:00:00", 86400), ("00:00:00.2000000", 0.2), (" 00:01:00 ", 60)],
)
def test_time_spans(text, seconds):
    assert is_timespan(text)
    assert parse_timespan(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "00:60:00", "00:00:60", "24:00:00", "-1", "00:00:00:00"])
def test_malformed_time_spans_are_refused(text):
    with pytest.raises(ValueError, match=r"time span|minutes|hours"):
        parse_timespan(text)
