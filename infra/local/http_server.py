"""A small threaded HTTP server on werkzeug for the local services, in the background of its process."""

import logging
import threading
from types import TracebackType
from typing import Any, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class _QuietHandler(WSGIRequestHandler):
    """Keeps connections open between requests and leaves logging to the services."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line per request, at debug."""
        logging.getLogger(__name__).debug('"%s" %s %s', self.requestline, code, size)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Errors of the protocol, such as a malformed request line."""
        logging.getLogger(__name__).log(logging.ERROR if type == "error" else logging.DEBUG, message, *args)


class BackgroundServer:
    """Serves a WSGI application in a thread of its own while the `with` block runs.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(self, app: Any, host: str, port: int) -> None:
        self._server: BaseWSGIServer = make_server(host, port, app, threaded=True, request_handler=_QuietHandler)
        if hasattr(self._server, "daemon_threads"):
            self._server.daemon_threads = True
        self._host = host
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def url(self) -> str:
        """The address, with the port that was taken."""
        return f"http://{self._host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)
