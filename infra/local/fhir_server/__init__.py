"""A local stand-in for the FHIR service of Azure Health Data Services (R4), as strict as the real one.

Transactions are all or nothing, required codes and reference targets are enforced, 500 entries are the limit, and
faults (`POST /local/fault`) and a bearer token can be demanded. It does not check profiles nor search quantities.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from infra.local.node_runtime import NodeService, serve

DEFAULT_PORT = 10200


def service(
    state: Path | None, host: str = "127.0.0.1", port: int = DEFAULT_PORT, require_token: str | None = None
) -> NodeService:
    """The FHIR server, not yet started; its endpoint is `fhir`.

    Args:
        state: Folder of the journal; without it nothing survives a restart.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        require_token: Bearer token that every request must bring, except health, metadata and faults.
    """
    arguments = [host, str(port), *([str(state)] if state is not None else [])]
    # In the environment, because a command line can be read by every user of the machine.
    environment = {"FHIR_REQUIRE_TOKEN": require_token or ""}
    return NodeService("fhir server", Path(__file__).parent / "server.mjs", arguments, environment)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free port")
    parser.add_argument("--state", type=Path, help="folder of the stored resources; without it they are not kept")
    parser.add_argument("--require-token", help="demand this bearer token")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; an exit status."""
    server = service(args.state, args.host, args.port, args.require_token)
    return serve(server, lambda endpoints: f"fhir server ready at {endpoints['fhir']}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the FHIR server from the command line."""
    parser = argparse.ArgumentParser(prog="fhir_server", description="A FHIR R4 server on this machine.")
    add_arguments(parser)
    return run(parser.parse_args(argv))
