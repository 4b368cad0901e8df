"""The local custom topic: an HTTP listener that takes published CloudEvents and puts them into a queue."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

_REQUIRED = ("id", "source", "type")
_MAX_BYTES = 1 << 20  # Event Grid takes up to 1 MB in one request


class TopicApp:
    """A WSGI application: `POST /TOPIC` publishes, `GET /health` tells how the relay is.

    Args:
        send: Called with topic and event text for each event of a request.
        topics: Names of the topics.
        key: The access key that publishers must send; empty takes any.
        health: What `/health` answers.
    """

    def __init__(
        self,
        send: Callable[[str, str], None],
        topics: frozenset[str],
        health: Callable[[], Mapping[str, Any]],
        key: str = "",
    ) -> None:
        self._send = send
        self._topics = topics
        self._health = health
        self._key = key

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The WSGI entry."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == "/health":
            return _json(200, dict(self._health()))
        topic = request.path.strip("/").removesuffix("/api/events")
        if topic not in self._topics:
            return _error(404, f"there is no topic at {request.path}; topics: {sorted(self._topics)}")
        if request.method != "POST":
            return _error(405, "publish with POST")
        key = request.headers.get("aeg-sas-key", "")
        if not key or (self._key and key != self._key):
            return _error(401, "the header aeg-sas-key is missing or is not the topic's key")
        if (request.content_length or 0) > _MAX_BYTES:
            return _error(413, f"a request may have {_MAX_BYTES} bytes")
        try:
            events = json.loads(request.get_data())
        except ValueError as error:
            return _error(400, f"the body is not JSON: {error}")
        if isinstance(events, dict):
            events = [events]
        if not isinstance(events, list):
            return _error(400, "the body is no CloudEvent or list of CloudEvents")
        for number, event in enumerate(events):
            problem = _problem(event)
            if problem:
                return _error(400, f"event {number} is no CloudEvent 1.0: {problem}")
        for event in events:
            self._send(topic, json.dumps(event, ensure_ascii=False))
        return Response(status=200)


def _problem(event: Any) -> str:
    if not isinstance(event, dict):
        return "not an object"
    if event.get("specversion") != "1.0":
        return f"specversion is {event.get('specversion')!r}"
    missing = [name for name in _REQUIRED if not isinstance(event.get(name), str) or not event[name]]
    return f"without {', '.join(missing)}" if missing else ""


def _json(status: int, value: Any) -> Response:
    return Response(json.dumps(value), status=status, mimetype="application/json")


def _error(status: int, message: str) -> Response:
    code = {400: "BadRequest", 401: "Unauthorized", 404: "NotFound"}.get(status, "Error")
    return _json(status, {"error": {"code": code, "message": message}})
