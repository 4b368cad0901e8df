"""A local Azure Batch account: speaks its REST protocol and runs tasks as processes of this machine.

The subset of the protocol is the one that the unmodified azure-batch SDK needs for pools, jobs, tasks and task
files. Not run here: start, preparation, release and manager tasks, multi-instance tasks, application packages,
output files, auto pools, job schedules, container images (a task with container settings runs as a plain process,
and only on a pool with a containerConfiguration). Requests for the others are refused, never ignored.

This module stays cheap to import: the server is loaded by `run`.
"""

from __future__ import annotations

import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the service's options to a parser."""
    import os
    from pathlib import Path

    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=10100, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--account", required=True, help="Batch account name")
    parser.add_argument("--key", required=True, help="account key, base64")
    parser.add_argument(
        "--state", type=Path, required=True, help="folder for the state file and the nodes' directories"
    )
    parser.add_argument("--nodes", type=int, default=1, help="nodes of the pool (default: %(default)s)")
    parser.add_argument(
        "--slots", type=int, default=os.cpu_count() or 1, help="task slots per node (default: %(default)s)"
    )
    parser.add_argument("--pool", metavar="ID", help="create this pool when absent")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        args: What a parser with `add_arguments` returned.

    Returns:
        Exit status: 0, or 2 when an argument cannot be used.
    """
    from infra.local.batch_service.cli import serve

    return serve(args)
