"""Blob events in both delivery schemas: what is read, what is ignored, what is refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.formats.events import (
    BlobCreated,
    DeliverySchema,
    blob_created_event,
    event_id_for,
    hint_event,
    parse_blob_created,
    unquoted_etag,
)

# Samples of the documentation of Azure Blob Storage as an Event Grid source.
EVENT_GRID = {
    "topic": "/subscriptions/x/resourceGroups/Storage/providers/Microsoft.Storage/storageAccounts/acc",
    "subject": "/blobServices/default/containers/test-container/blobs/new file%20.txt",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2017-06-26T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {
        "api": "PutBlockList",
        "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
        "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
        "eTag": '"0x8D4BCC2E4835CD0"',
        "contentType": "text/plain",
        "contentLength": 524288,
        "blobType": "BlockBlob",
        "url": "https://acc.blob.core.windows.net/test-container/new%20file%2520.txt",
        "sequencer": "00000000000004420000000000028963",
        "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"},
    },
    "dataVersion": "",
    "metadataVersion": "1",
}
CLOUD_EVENT = {
    "source": EVENT_GRID["topic"],
    "subject": EVENT_GRID["subject"],
    "type": EVENT_GRID["eventType"],
    "time": EVENT_GRID["eventTime"],
    "id": EVENT_GRID["id"],
    "data": EVENT_GRID["data"],
    "specversion": "1.0",
}
BLOB = BlobCreated(
    container="test-container",
    name="new file%20.txt",
    etag="0x8D4BCC2E4835CD0",
    content_length=524288,
    api="PutBlockList",
    event_id="831e1650-001e-001b-66ab-eeb76e069631",
    event_time=datetime(2017, 6, 26, 18, 41, 0, 958410, tzinfo=UTC),
)
both_schemas = pytest.mark.parametrize("event", [EVENT_GRID, CLOUD_EVENT], ids=["event-grid", "cloud-event"])


def changed(event, key, value):
    return {**event, key: value}


def with_data(event, **values):
    return {**event, "data": {**event["data"], **values}}


@both_schemas
@pytest.mark.parametrize("form", ["text", "bytes", "list of one"])
def test_an_event_is_read_in_both_schemas_as_text_bytes_or_a_list_of_one(event, form):
    text = json.dumps([event] if form == "list of one" else event)
    assert parse_blob_created(text.encode() if form == "bytes" else text) == BLOB


@both_schemas
def test_an_etag_without_quotes_is_the_same_etag(event):
    assert parse_blob_created(json.dumps(with_data(event, eTag="0x8D4BCC2E4835CD0"))) == BLOB


@both_schemas
def test_create_file_is_ignored_because_it_comes_before_the_data(event, caplog):
    caplog.set_level("INFO")
    assert parse_blob_created(json.dumps(with_data(event, api="CreateFile", contentLength=0))) is None
    assert "CreateFile" in caplog.text


@both_schemas
@pytest.mark.parametrize("api", ["PutBlob", "CopyBlob", "FlushWithClose"])
def test_every_other_way_to_write_a_blob_counts(event, api):
    blob = parse_blob_created(json.dumps(with_data(event, api=api)))
    assert blob is not None
    assert blob.api == api


@pytest.mark.parametrize("other", ["Microsoft.Storage.BlobDeleted", "Microsoft.EventGrid.SubscriptionValidationEvent"])
def test_other_event_types_are_ignored_with_the_reason_in_the_log(other, caplog):
    caplog.set_level("INFO")
    assert parse_blob_created(json.dumps(changed(CLOUD_EVENT, "type", other))) is None
    assert parse_blob_created(json.dumps(changed(EVENT_GRID, "eventType", other))) is None
    assert other in caplog.text


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2017-06-26T18:41:00Z", datetime(2017, 6, 26, 18, 41, tzinfo=UTC)),
        ("2017-06-26T20:41:00+02:00", datetime(2017, 6, 26, 18, 41, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times_are_utc(time, expected):
    for event, key in ((EVENT_GRID, "eventTime"), (CLOUD_EVENT, "time")):
        blob = parse_blob_created(json.dumps(changed(event, key, time)))
        assert blob is not None
        assert blob.event_time == expected


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\xff\xfe", "not UTF-8"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "list of 0 events"),
        (json.dumps([CLOUD_EVENT, CLOUD_EVENT]), "list of 2 events"),
        ('"x"', "not an object"),
        ("{}", "neither a CloudEvent"),
        (json.dumps({**CLOUD_EVENT, "specversion": "0.3"}), "specversion '0.3'"),
        (json.dumps({k: v for k, v in CLOUD_EVENT.items() if k != "source"}), "not a CloudEvent"),
        (json.dumps({k: v for k, v in CLOUD_EVENT.items() if k != "id"}), "has no id"),
        (json.dumps({k: v for k, v in CLOUD_EVENT.items() if k != "data"}), "no data object"),
        (json.dumps({k: v for k, v in CLOUD_EVENT.items() if k != "subject"}), "the subject of event"),
        (json.dumps(changed(EVENT_GRID, "subject", "/containers/a")), "the subject of event"),
        (json.dumps(changed(EVENT_GRID, "eventTime", "yesterday")), "no ISO 8601 time"),
        (json.dumps(changed(CLOUD_EVENT, "time", "x")), "no ISO 8601 time"),
        (json.dumps(with_data(CLOUD_EVENT, contentLength="5")), "contentLength"),
        (json.dumps(with_data(CLOUD_EVENT, contentLength=-1)), "contentLength"),
        (json.dumps(with_data(CLOUD_EVENT, contentLength=True)), "contentLength"),
        (json.dumps(with_data(EVENT_GRID, eTag=5)), "eTag"),
        (json.dumps(with_data(EVENT_GRID, api="")), "data.api"),
    ],
)
def test_a_malformed_message_is_refused_with_the_reason(message, why):
    with pytest.raises(PermanentError, match=why):
        parse_blob_created(message)


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
blobs = st.builds(
    BlobCreated,
    container=st.from_regex(r"[a-z0-9]{3,20}", fullmatch=True),
    name=names | st.just("a/blobs/b") | st.just("100%20.json"),
    etag=st.from_regex(r"0x[0-9A-F]{1,16}", fullmatch=True),
    content_length=st.integers(0, 2**50),
    api=st.sampled_from(["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"]),
    event_id=st.uuids().map(str),
    event_time=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@given(blobs, st.sampled_from(DeliverySchema))
def test_what_is_written_is_read_back_for_any_blob_name(blob, schema):
    assert parse_blob_created(blob_created_event(blob, schema=schema, url="http://x", sequencer="0f")) == blob


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([EVENT_GRID, CLOUD_EVENT]), st.data())
def test_any_damage_to_an_event_gives_a_blob_or_nothing_or_a_permanent_error(event, data):
    key = data.draw(st.sampled_from(sorted(event)))
    inner = data.draw(st.sampled_from(sorted(EVENT_GRID["data"])))
    value = data.draw(json_values)
    for damaged in (changed(event, key, value), with_data(event, **{inner: value})):
        try:
            blob = parse_blob_created(json.dumps(damaged))
        except PermanentError:
            continue
        assert blob is None or blob.content_length >= 0


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_and_never_raise_anything_else(message):
    with pytest.raises(PermanentError, match="queue message"):
        parse_blob_created(message)


def test_a_hint_names_the_blob_and_nothing_more():
    blob = parse_blob_created(hint_event("work", "A/plan.json"))
    assert blob is not None
    assert (blob.container, blob.name, blob.etag, blob.content_length) == ("work", "A/plan.json", "", 0)


def test_an_event_id_tells_writes_apart_and_repeats_for_the_same_write():
    first = event_id_for("work", "a", '"0x1"')
    assert first == event_id_for("work", "a", "0x1")
    assert len({first, event_id_for("work", "a", "0x2"), event_id_for("work", "a", "0x1", "7")}) == 3


def test_the_event_grid_schema_needs_a_time():
    blob = parse_blob_created(hint_event("work", "a"))
    assert blob is not None
    with pytest.raises(PermanentError, match="has no time"):
        blob_created_event(blob, schema=DeliverySchema.EVENT_GRID)


def test_a_time_in_another_zone_is_written_in_utc():
    west = datetime.fromisoformat("2026-01-01T00:30:00-05:00")
    written = json.loads(blob_created_event(BlobCreated("c", "n", "e", 1, "PutBlob", "i", west)))
    assert datetime.fromisoformat(written["time"]) == west
    assert datetime.fromisoformat(written["time"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("etag", ['"0x1"', "0x1", ' "0x1" '])
def test_an_etag_is_compared_without_quotes(etag):
    assert unquoted_etag(etag) == "0x1"
