"""The service in one object: HTTP server, scheduler and state of one account."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from infra.local.batch_service import pools
from infra.local.batch_service.app import BatchApp
from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.book import Book
from infra.local.batch_service.scheduler import Scheduler
from shared.errors import PermanentError

_STOP_CHECK_SECONDS = 0.05  # how soon the server notices that it shall stop; requests do not wait for it


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keep connections: a client makes many small requests
    disable_nagle_algorithm = True  # headers and body are two writes; Nagle would hold the second for 40 ms

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: thousands of polls would bury what matters."""


class _Server(ThreadedWSGIServer):
    """A threaded server that also closes idle connections when it stops."""

    def __init__(self, host: str, port: int, app: BatchApp) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(host, port, app, handler=_Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up; errors of the application are answered and logged there."""

    def close_connections(self) -> None:
        """Hang up on all clients, so that no thread waits for a next request."""
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster


class BatchService:
    """A local Azure Batch account.

    Args:
        key: Account name and key.
        state: Folder for the state file and the nodes' directories.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        nodes: Nodes of pools that have no number of their own.
        slots: Task slots of each of those nodes.
        pool: Id of a pool to create when absent.

    Raises:
        PermanentError: The state or the port is in use.
    """

    def __init__(
        self,
        key: SharedKey,
        state: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        nodes: int = 1,
        slots: int = 1,
        pool: str | None = None,
    ) -> None:
        self._book = Book(key.account, state.resolve(), nodes)
        if pool is not None and pool.lower() not in self._book.pools:
            document = {
                "id": pool,
                "vmSize": "this-machine",
                "targetDedicatedNodes": nodes,
                "taskSlotsPerNode": slots,
            }
            with self._book.change() as now:
                pools.create(self._book, document, now)
        try:
            self._server = _Server(host, port, BatchApp(self._book, key))
        except (OSError, SystemExit) as error:  # werkzeug exits by itself when a port is taken
            self._book.close()
            raise PermanentError(
                f"Cannot listen on {host}:{port}. Stop what uses the port, or choose another one with --port."
            ) from error
        self.endpoint = f"http://{host}:{self._server.server_port}"
        self._book.account_url = self.endpoint
        self._scheduler = Scheduler(self._book)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_CHECK_SECONDS,), name="batch-http", daemon=True
        )

    def start(self) -> None:
        """Listen and run tasks, in threads of their own."""
        self._scheduler.start()
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, kill running tasks (they run again after the next start), write everything."""
        self._server.shutdown()
        self._scheduler.stop()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        self._book.close()
