"""Trigger data as Python arguments: decoded by azure-functions' own converters, as in the worker."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from azure.functions import meta
from werkzeug.wrappers import Request, Response

from infra.local.functions_host.indexing import IndexedFunction

_DATUM = meta.Datum


def queue_argument(function: IndexedFunction, body: bytes, metadata: Mapping[str, Any]) -> Any:
    """The argument of a queue trigger.

    Like the host, it lets top-level members of a JSON body override trigger metadata of the same name (in any
    case): for an Event Grid event, `QueueMessage.id` is the event's id.

    Args:
        function: The function; a parameter annotated `str` or `bytes` gets the body itself.
        body: The decoded message.
        metadata: Id, PopReceipt, DequeueCount, InsertionTime, ExpirationTime, NextVisibleTime.
    """
    text = body.decode("utf-8", errors="replace")
    if function.trigger_type in {str, bytes}:
        return text if function.trigger_type is str else body
    fields = dict(metadata)
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        own = {name.casefold(): name for name in fields}
        fields.update({own[key.casefold()]: v for key, v in document.items() if key.casefold() in own})
    return _decode(
        "queueTrigger", _DATUM(text, "string"), {name: _field(v) for name, v in fields.items() if v is not None}
    )


def timer_argument(past_due: bool, last: datetime | None, following: datetime | None) -> Any:
    """The argument of a timer trigger; times are UTC."""
    status = {
        "Last": _date(last) if last else "0001-01-01T00:00:00+00:00",
        "Next": _date(following) if following else "",
        "LastUpdated": _date(last) if last else "0001-01-01T00:00:00+00:00",
    }
    info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return _decode("timerTrigger", _DATUM(json.dumps(info), "json"), {})


def http_argument(request: Request, route_values: Mapping[str, str]) -> Any:
    """The argument of an HTTP trigger."""

    def texts(values: Mapping[str, str]) -> dict[str, meta.Datum]:
        return {name: _DATUM(value, "string") for name, value in values.items()}

    data = {
        "method": _DATUM(request.method, "string"),
        "url": _DATUM(request.url, "string"),
        # lower case, as Kestrel hands them to the worker
        "headers": texts({name.lower(): value for name, value in request.headers.items()}),
        "query": texts(request.args.to_dict()),
        "params": texts(route_values),
        "body": _DATUM(request.get_data(), "bytes"),
    }
    return _decode("httpTrigger", _DATUM(data, "http"), {})


def http_response(value: Any) -> Response:
    """What an HTTP function returned, as the response the host sends.

    Raises:
        TypeError: The host cannot turn it into a response.
    """
    from azure.functions import HttpResponse

    if value is None:
        return Response(status=204)
    if isinstance(value, str):
        return Response(value, mimetype="text/plain")
    if not isinstance(value, HttpResponse):
        raise TypeError(f"an HTTP function must return func.HttpResponse or str, got {type(value).__name__}")
    headers = list(value.headers.items())
    if not any(name.casefold() == "content-type" for name, _ in headers):
        text = value.mimetype.startswith("text/")
        headers.append(("Content-Type", f"{value.mimetype}; charset={value.charset}" if text else value.mimetype))
    return Response(value.get_body(), status=value.status_code, headers=headers)


def queue_messages(value: Any) -> list[bytes]:
    """What a function gave to a queue output, as messages.

    Raises:
        TypeError: It is none of str, bytes, QueueMessage or a list of these.
    """
    from azure.functions import QueueMessage

    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, QueueMessage):
        body = value.get_body()
        return [body.encode() if isinstance(body, str) else body]
    if isinstance(value, list | tuple):
        return [message for one in value for message in queue_messages(one)]
    raise TypeError(f"a queue output takes str, bytes, QueueMessage or a list of these, got {type(value).__name__}")


def _decode(binding: str, data: meta.Datum, metadata: Mapping[str, meta.Datum]) -> Any:
    return meta.get_binding_registry().get(binding).decode(data, trigger_metadata=metadata)


def _field(value: Any) -> meta.Datum:
    if isinstance(value, datetime):
        return _DATUM(json.dumps(_date(value)), "json")
    if isinstance(value, str):
        return _DATUM(value, "string")
    return _DATUM(json.dumps(value), "json")


def _date(moment: datetime) -> str:
    """As .NET writes a DateTimeOffset: seven fractional digits."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0+00:00"
