"""Blob events as they arrive in a queue: the Event Grid schema and CloudEvents 1.0, read and written.

An event is a hint: it says which blob to look at, and nothing that is decided later may rest on it alone.
The azure modules are imported where they are used (about 0.1 s), because the function app imports this module
at start.
"""

import enum
import json
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.errors import PermanentError

BLOB_CREATED = "Microsoft.Storage.BlobCreated"

HINT_SOURCE = "urn:fastq2fhir:hint"
"""Source of the events this system makes itself, so that they can be told from those of a storage account."""

_SUBJECT = re.compile(r"/blobServices/default/containers/(?P<container>[^/]+)/blobs/(?P<name>.+)", re.DOTALL)
_EVENT_IDS = uuid.UUID("5b8f6f0e-5f0a-5d0e-9d0a-0a4b7c1d2e3f")
_TEXT_SHOWN = 80  # characters of a malformed message that an error shows; enough to recognise its kind
_CREATED_EMPTY = "CreateFile"
_HINT = "Hint"  # in place of the storage operation, which a hint does not know

log = logging.getLogger(__name__)


@enum.unique
class DeliverySchema(enum.Enum):
    """The two JSON shapes in which Event Grid delivers, named as in its `eventDeliverySchema` property."""

    CLOUD_EVENTS = "CloudEventSchemaV1_0"
    EVENT_GRID = "EventGridSchema"


@dataclass(frozen=True, slots=True)
class BlobCreated:
    """One blob was written: the part of a BlobCreated event that this system reads.

    Attributes:
        container: The container's name.
        name: The blob's name inside the container, not percent-encoded.
        etag: The blob's ETag at the time of the event, without quotes; empty when the event does not say.
        content_length: The blob's size in bytes at the time of the event; 0 in a hint (`hint_event`).
        api: The storage operation, for example PutBlob, PutBlockList or CopyBlob.
        event_id: The event's id; a repeated delivery of one event has the same id.
        event_time: When the blob was written (UTC); None when the event does not say.
    """

    container: str
    name: str
    etag: str
    content_length: int
    api: str
    event_id: str
    event_time: datetime | None


def parse_blob_created(message: str | bytes) -> BlobCreated | None:
    """One queue message becomes the blob it tells of, or None when it is to be ignored.

    Args:
        message: JSON text of one event (or of a list with one event), in either delivery schema.

    Returns:
        The blob, or None for an event of another type and for `CreateFile`, which a hierarchical namespace
        sends before the data is there; the reason is logged.

    Raises:
        PermanentError: The message is not such an event.
    """
    text = _decode(message)
    event = _single_event(text)
    event_type, event_id, subject, time, data = _envelope(event, text)
    if event_type != BLOB_CREATED:
        log.info("ignored event %s: its type is %s, not %s", event_id, event_type, BLOB_CREATED)
        return None
    if not isinstance(data, dict):
        raise _malformed(f"event {event_id} has no data object", text)
    api = _text(data, "api", event_id, text)
    if api == _CREATED_EMPTY:
        log.info("ignored event %s: %s comes before the data is written", event_id, api)
        return None
    place = _SUBJECT.fullmatch(subject)
    if place is None:
        raise _malformed(
            f"the subject of event {event_id} is not /blobServices/default/containers/CONTAINER/blobs/NAME",
            text,
        )
    length = data.get("contentLength")
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise _malformed(f"data.contentLength of event {event_id} is not a size in bytes: {length!r}", text)
    etag = data.get("eTag", "")
    if not isinstance(etag, str):
        raise _malformed(f"data.eTag of event {event_id} is no text: {etag!r}", text)
    return BlobCreated(
        container=place["container"],
        name=place["name"],
        etag=unquoted_etag(etag),
        content_length=length,
        api=api,
        event_id=event_id,
        event_time=time,
    )


def blob_created_event(
    blob: BlobCreated,
    *,
    source: str = HINT_SOURCE,
    url: str = "",
    content_type: str = "application/octet-stream",
    blob_type: str = "BlockBlob",
    request_id: str = "",
    sequencer: str = "",
    schema: DeliverySchema = DeliverySchema.CLOUD_EVENTS,
) -> str:
    """JSON text of the BlobCreated event that Event Grid would deliver for a blob.

    Args:
        blob: What the event tells; `parse_blob_created` gives it back unchanged.
        source: The storage account's resource id (`topic` in the Event Grid schema).
        url: The blob's percent-encoded URL.
        content_type: The blob's content type.
        blob_type: BlockBlob, AppendBlob or PageBlob.
        request_id: The storage service's id of the request that wrote the blob.
        sequencer: Hexadecimal text that orders the events of one blob name.
        schema: The delivery schema.
    """
    subject = f"/blobServices/default/containers/{blob.container}/blobs/{blob.name}"
    data = {
        "api": blob.api,
        "clientRequestId": request_id,
        "requestId": request_id,
        "eTag": blob.etag,
        "contentType": content_type,
        "contentLength": blob.content_length,
        "blobType": blob_type,
        "url": url,
        "sequencer": sequencer,
        "storageDiagnostics": {},
    }
    event: dict[str, Any]
    if schema is DeliverySchema.CLOUD_EVENTS:
        event = {
            "source": source,
            "subject": subject,
            "type": BLOB_CREATED,
            "id": blob.event_id,
            "data": data,
            "specversion": "1.0",
        }
        if blob.event_time is not None:
            event["time"] = _time_text(blob.event_time)
    else:
        if blob.event_time is None:
            raise PermanentError(
                f"Event {blob.event_id} has no time, which the Event Grid schema requires. Give it the "
                "blob's last-modified time, or use CloudEvents."
            )
        event = {
            "topic": source,
            "subject": subject,
            "eventType": BLOB_CREATED,
            "eventTime": _time_text(blob.event_time),
            "id": blob.event_id,
            "data": data,
            "dataVersion": "",
            "metadataVersion": "1",
        }
    return json.dumps(event, ensure_ascii=False)


def hint_event(container: str, name: str) -> str:
    """JSON text of an event that says "look at this blob again", made without asking the storage."""
    return blob_created_event(
        BlobCreated(
            container=container,
            name=name,
            etag="",
            content_length=0,
            api=_HINT,
            event_id=event_id_for(container, name, ""),
            event_time=None,
        )
    )


def event_id_for(container: str, name: str, etag: str, nonce: str = "") -> str:
    """The id of the event of one write: the same blob, ETag and nonce give the same id."""
    return str(uuid.uuid5(_EVENT_IDS, "\0".join((container, name, unquoted_etag(etag), nonce))))


def unquoted_etag(etag: str) -> str:
    """An ETag without the quotes that some interfaces give and others omit.

    >>> unquoted_etag('"0x8D4BCC2E4835CD0"')
    '0x8D4BCC2E4835CD0'
    """
    return etag.strip().strip('"')


def _decode(message: str | bytes) -> str:
    if isinstance(message, str):
        return message
    try:
        return message.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PermanentError(
            f"A queue message is not UTF-8 text (byte {error.start} of {len(message)}). Expected a "
            "BlobCreated event as JSON; was it sent by something else than Event Grid?"
        ) from error


def _single_event(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"not JSON: {error}", text) from error
    if isinstance(value, list):
        if len(value) != 1:
            raise _malformed(f"a list of {len(value)} events; a queue message carries one", text)
        value = value[0]
    if not isinstance(value, dict):
        raise _malformed(f"JSON {type(value).__name__}, not an object", text)
    return value


def _envelope(event: dict[str, Any], text: str) -> tuple[str, str, str, datetime | None, object]:
    """Type, id, subject, time and data of an event in either schema."""
    if "specversion" in event:
        from azure.core.messaging import CloudEvent

        # Times are parsed here: azure-core 1.41 drops an offset such as +02:00.
        time_key = "time"
        try:
            cloud: CloudEvent[Any] = CloudEvent.from_dict({k: v for k, v in event.items() if k != time_key})
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise _malformed(f"not a CloudEvent: {error}", text) from error
        if cloud.specversion != "1.0":
            raise _malformed(f"CloudEvents specversion {cloud.specversion!r}; 1.0 is understood", text)
        event_type, subject, data = cloud.type, cloud.subject, cloud.data
    elif "eventType" in event:
        from azure.eventgrid import EventGridEvent

        time_key = "eventTime"
        try:
            grid = EventGridEvent.from_dict({k: v for k, v in event.items() if k != time_key})
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise _malformed(f"not an Event Grid event: {error}", text) from error
        event_type, subject, data = grid.event_type, grid.subject, grid.data
    else:
        raise _malformed("neither a CloudEvent (no specversion) nor an Event Grid event (no eventType)", text)
    event_id = event.get("id")  # the classes invent an id where there is none: an id must come from the sender
    for what, value in (("type", event_type), ("id", event_id)):
        if not isinstance(value, str) or not value:
            raise _malformed(f"the event has no {what}", text)
    if not isinstance(subject, str):
        subject = ""  # only some event types need one; a BlobCreated event without fails on its subject
    time = _time(event.get(time_key), str(event_id), text)
    return str(event_type), str(event_id), subject, time, data


def _time(value: object, event_id: str, text: str) -> datetime | None:
    """A time of an event in UTC; .NET writes seven fractional digits, of which Python keeps six."""
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is not None:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _malformed(f"the time of event {event_id} is no ISO 8601 time: {value!r}", text)


def _text(data: dict[str, Any], key: str, event_id: str, text: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise _malformed(f"data.{key} of event {event_id} is missing or no text", text)
    return value


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _malformed(why: str, text: str) -> PermanentError:
    shown = text[:_TEXT_SHOWN] + ("..." if len(text) > _TEXT_SHOWN else "")
    return PermanentError(
        f"A queue message is not a BlobCreated event: {why}. It begins {shown!r}. Check the subscription "
        "that writes to this queue."
    )
