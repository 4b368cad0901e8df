"""The service as a process: arguments in, signals out."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from types import FrameType

from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.service import BatchService
from shared.errors import PermanentError


def serve(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; see `run` of the package."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    # Before anything starts: a signal that comes early must not leave processes behind.
    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        service = BatchService(
            SharedKey(args.account, args.key),
            args.state,
            host=args.host,
            port=args.port,
            nodes=args.nodes,
            slots=args.slots,
            pool=args.pool,
        )
    except (PermanentError, OSError) as error:
        print(f"batch service: {error}", file=sys.stderr)
        return 2
    try:
        service.start()
        print(f"batch service ready at {service.endpoint}", flush=True)
        stopped.wait()
    finally:
        service.stop()
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0
