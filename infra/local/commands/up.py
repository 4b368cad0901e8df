"""`./run up`: the whole stack until Ctrl-C."""

import argparse
import signal
import threading
from pathlib import Path

from infra.local.part import STATE
from infra.local.stack import Endpoints, RunningStack, Stack, StackOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--state", type=Path, default=STATE / "up", help="folder of all data and logs")


def run(args: argparse.Namespace) -> int:
    """Start, print the endpoints, wait, stop."""
    with Stack(StackOptions(state=args.state, usual_ports=True)) as stack:
        print_endpoints(stack.endpoints, args.state)
        wait_for_end(stack)
    return 0


def print_endpoints(endpoints: Endpoints, state: Path) -> None:
    """Say where everything is."""
    print(
        f"""
The stack is up.
  storage     {endpoints.blob}  (queues {endpoints.queue})
  Batch       {endpoints.batch}
  FHIR        {endpoints.fhir}
  functions   {endpoints.functions}/health
  analyses    {endpoints.functions}/analyses
  drops       {endpoints.functions}/landing
  logs        {state / "logs"}
Connection string for storage tools:
  {endpoints.connection_string}
Ctrl-C stops it.""",
        flush=True,
    )


def wait_for_end(stack: RunningStack) -> None:
    """Wait for Ctrl-C or SIGTERM, or for a part that ends by itself."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        stack.check()
    print("stopping the stack ...", flush=True)
