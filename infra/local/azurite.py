"""Azurite, Microsoft's storage emulator: blobs and queues of the local stack.

The account is the emulator's public one. Its state lives in a folder and survives a restart. The access log has one
line per finished blob request, in common log format with the percent-encoded path and query as sent, and is written
when the request's effect is visible; SAS signatures are left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from infra.local.node_runtime import NODE_FOLDER, NodeService, serve
from infra.local.part import STATE

ACCOUNT = "devstoreaccount1"
PUBLIC_DEVELOPMENT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The same on every machine and printed in Microsoft's documentation; it protects nothing."""

DEFAULT_BLOB_PORT = 10000
DEFAULT_QUEUE_PORT = 10001


def connection_string(blob_port: int = DEFAULT_BLOB_PORT, queue_port: int = DEFAULT_QUEUE_PORT) -> str:
    """The connection string of an Azurite on this machine."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={PUBLIC_DEVELOPMENT_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{blob_port}/{ACCOUNT};"
        f"QueueEndpoint=http://127.0.0.1:{queue_port}/{ACCOUNT};"
    )


def service(
    state: Path,
    blob_port: int = DEFAULT_BLOB_PORT,
    queue_port: int = DEFAULT_QUEUE_PORT,
    access_log: Path | None = None,
) -> NodeService:
    """Azurite on loopback, not yet started; its endpoints are `blob` and `queue`, without the account.

    Args:
        state: Folder of the stored data; made when absent.
        blob_port: TCP port; 0 takes a free one.
        queue_port: TCP port; 0 takes a free one.
        access_log: File to append one line per blob request to.
    """
    arguments = [str(state), "127.0.0.1", str(blob_port), str(queue_port)]
    if access_log is not None:
        arguments.append(str(access_log))
    return NodeService("azurite", NODE_FOLDER / "azurite.mjs", arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--state", type=Path, default=STATE / "azurite", help="folder of the stored data")
    parser.add_argument("--blob-port", type=int, default=DEFAULT_BLOB_PORT, help="0 takes a free port")
    parser.add_argument("--queue-port", type=int, default=DEFAULT_QUEUE_PORT, help="0 takes a free port")
    parser.add_argument("--access-log", type=Path, help="append one line per finished blob request to this file")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; an exit status."""
    azurite = service(args.state, args.blob_port, args.queue_port, args.access_log)
    return serve(
        azurite,
        lambda endpoints: f"azurite ready at {endpoints['blob']}/{ACCOUNT} {endpoints['queue']}/{ACCOUNT}",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run Azurite from the command line."""
    parser = argparse.ArgumentParser(prog="azurite", description="Blob and queue storage on this machine.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
