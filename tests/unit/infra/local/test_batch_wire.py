"""Times, durations, ETags and ranges on the wire."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.batch_service.files import byte_range
from infra.local.batch_service.process import environment
from infra.local.batch_service.wire import (
    MESSAGES,
    NO_LIMIT,
    WireError,
    http_date,
    new_etag,
    parse_duration,
    parse_utc,
    utc_text,
)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT02H00M01S", timedelta(hours=2, seconds=1)),  # as the SDK sends it
        ("P7D", timedelta(days=7)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("PT0S", timedelta()),
        (NO_LIMIT, timedelta(days=10675199, hours=2, minutes=48, seconds=5.4775807)),
    ],
)
def test_durations_are_read(text, length):
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "P", "PT", "1h", "P1Y", "P1W", "PT-1S", "P" + "9" * 12 + "D", "PT1S "])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_times_survive_and_their_texts_compare_as_they_do(first, second):
    assert parse_utc(utc_text(first)) == first
    assert (utc_text(first) < utc_text(second)) == (first < second)


def test_http_dates_are_in_english_and_gmt():
    assert http_date(datetime(2026, 3, 1, 9, 5, tzinfo=UTC)) == "Sun, 01 Mar 2026 09:05:00 GMT"


def test_etags_of_one_moment_differ():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    etags = [new_etag(now) for _ in range(100)]
    assert len(set(etags)) == 100
    assert etags[0].startswith("0x8D")


def test_an_error_has_the_services_form():
    error = WireError("JobNotFound", JobId="j").element("request", "time")
    assert error == {
        "code": "JobNotFound",
        "message": {"lang": "en-US", "value": "The specified job does not exist.\nRequestId:request\nTime:time"},
        "values": [{"key": "JobId", "value": "j"}],
    }
    assert all(400 <= status <= 599 for status, _ in MESSAGES.values())


@pytest.mark.parametrize(
    ("text", "part"),
    [(None, (0, 10)), ("bytes=0-0", (0, 1)), ("bytes=4-6", (4, 7)), ("bytes=4-", (4, 10)), ("bytes=4-99", (4, 10))],
)
def test_ranges_are_inclusive_on_the_wire_and_half_open_inside(text, part):
    assert byte_range(text, 10) == part


@pytest.mark.parametrize(
    ("text", "code"), [("bytes=10-", "InvalidRange"), ("bytes=6-4", "InvalidRange"), ("0-3", "InvalidHeaderValue")]
)
def test_bad_ranges_are_refused(text, code):
    with pytest.raises(WireError) as caught:
        byte_range(text, 10)
    assert caught.value.code == code


def test_a_task_gets_batchs_variables_above_its_own_and_little_of_the_machines():
    result = environment(
        {"PATH": "/bin", "HOME": "/h", "SECRET": "x"},
        {"AZ_BATCH_JOB_ID": "j"},
        [
            {"name": "PATH", "value": "/job"},
            {"name": "PATH", "value": "/task"},
            {"name": "AZ_BATCH_JOB_ID", "value": "x"},
        ],
    )
    assert result == {"PATH": "/task", "HOME": "/h", "AZ_BATCH_JOB_ID": "j"}
