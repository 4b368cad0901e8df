"""The host's HTTP side: routes of HTTP triggers, runs by hand, and the state of the host."""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from infra.local.functions_host.arguments import http_argument, http_response
from infra.local.functions_host.indexing import IndexedFunction
from infra.local.functions_host.invocation import Invoker, Outcome
from infra.local.functions_host.routes import Route, compile_route

log = logging.getLogger(__name__)

_ADMIN = "/admin/functions/"
_WAKE = "/local/wake/"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP function at its route.

    Attributes:
        function: The function.
        route: Where it is.
        methods: Which methods it takes; None takes all.
    """

    function: IndexedFunction
    route: Route
    methods: frozenset[str] | None


def endpoint(function: IndexedFunction, route_prefix: str) -> Endpoint:
    """The endpoint of an HTTP function.

    Raises:
        PermanentError: Its route is malformed.
    """
    properties = function.trigger.properties
    methods = properties.get("methods")
    return Endpoint(
        function,
        compile_route(str(properties.get("route") or function.name), route_prefix),
        frozenset(str(method).upper() for method in methods) if methods else None,
    )


class HttpFront:
    """A WSGI application.

    Authorization levels are ignored, as with `func start`.

    Args:
        endpoints: The HTTP functions.
        invoker: Runs them.
        run_by_hand: Runs another function with a text as its input; False when there is none of that name.
        wake: Makes the triggers of a queue look at it now; False when there is none for that queue.
        health: What `/local/health` answers.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        invoker: Invoker,
        run_by_hand: Callable[[str, str], bool],
        wake: Callable[[str], bool],
        health: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._endpoints = sorted(endpoints, key=lambda one: one.route.order)
        self._invoker = invoker
        self._run_by_hand = run_by_hand
        self._wake = wake
        self._health = health

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """The WSGI entry."""
        request = Request(environ)
        try:
            response = self._answer(request)
        except Exception:
            log.exception("%s %s could not be answered", request.method, request.path)
            response = Response(status=500)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == "/local/health":
            return _json(200, dict(self._health()))
        if request.path.startswith(_WAKE) and request.method == "POST":
            return Response(status=204 if self._wake(request.path.removeprefix(_WAKE)) else 404)
        if request.path == "/admin/host/status":
            return _json(200, {"state": "Running"})
        if request.path.startswith(_ADMIN):
            return self._admin(request)
        path = str(request.environ.get("REQUEST_URI", request.path)).partition("?")[0]
        allowed: set[str] = set()
        for candidate in self._endpoints:
            values = candidate.route.match(path)
            if values is None:
                continue
            if candidate.methods is None or request.method in candidate.methods:
                return self._call(candidate, request, values)
            allowed |= candidate.methods
        if allowed:
            return Response(status=405, headers={"Allow": ", ".join(sorted(allowed))})
        return Response(status=404)

    def _call(self, found: Endpoint, request: Request, values: Mapping[str, str]) -> Response:
        ended = threading.Event()
        answers: list[Response] = []

        def done(outcome: Outcome) -> None:
            try:
                answers.append(_response(outcome))
            finally:
                ended.set()

        # The query is left out of the log: it may hold what belongs into no log.
        self._invoker.start(found.function, http_argument(request, values), done, f"{request.method} {request.path}")
        ended.wait()
        return answers[0] if answers else Response(status=500)

    def _admin(self, request: Request) -> Response:
        if request.method != "POST":
            return Response(status=405, headers={"Allow": "POST"})
        name = request.path.removeprefix(_ADMIN)
        try:
            body = json.loads(request.get_data() or b"{}")
            given = body.get("input", "")
        except (ValueError, AttributeError):
            return _json(400, {"error": 'the body must be JSON such as {"input": "text"}'})
        if any(one.function.name.casefold() == name.casefold() for one in self._endpoints):
            return _json(400, {"error": f"{name} has an HTTP trigger: call its route"})
        text = given if isinstance(given, str) else json.dumps(given)
        return Response(status=202) if self._run_by_hand(name, text) else Response(status=404)


def _response(outcome: Outcome) -> Response:
    if outcome.error is not None:
        # Like the host: no detail leaves it; the log has the traceback.
        return Response(status=500)
    return http_response(outcome.value)


def _json(status: int, value: Any) -> Response:
    return Response(json.dumps(value), status=status, mimetype="application/json")
