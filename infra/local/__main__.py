"""`./run COMMAND`: the local stack, the demo, anyone's sample, reference bundles, tests.

Each command is a module with `add_arguments(parser)` and `run(args) -> int`; it is imported only when it is asked for.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from shared.errors import PipelineError

COMMANDS = {
    "demo": ("infra.local.commands.demo", "synthetic sample from FASTQ to FHIR report on the local stack"),
    "sample": ("infra.local.commands.sample", "your own FASTQ files on the local stack"),
    "up": ("infra.local.commands.up", "start the local stack and keep it until Ctrl-C"),
    "reference": ("infra.local.commands.reference", "make and install reference bundles"),
    "gatk": ("infra.local.commands.gatk", "bring GATK, the second variant caller, to this machine"),
    "panel": ("infra.local.commands.panel", "install a test's definition with its targets"),
    "test": ("infra.local.commands.test", "run the tests"),
    "check": ("infra.local.commands.check", "format, lint, types, import contracts, unit tests: under a minute"),
    "golden": ("infra.local.commands.golden", "renew the golden files and show what changed"),
    "order-schema": ("infra.local.commands.order_schema", "write docs/order.schema.json from the code"),
}
PARTS = {
    "azurite": ("infra.local.azurite", "blob and queue storage"),
    "batch": ("infra.local.batch_service", "the Azure Batch protocol over processes of this machine"),
    "fhir": ("infra.local.fhir_server", "a FHIR R4 server"),
    "relay": ("infra.local.relay", "new blobs become BlobCreated events in the queues"),
    "functions": ("infra.local.functions_host", "runs the function app"),
}


def main(argv: Sequence[str]) -> int:
    """Parse and run one command; returns the exit status: 2 for wrong arguments, 1 for a failure."""
    parser = argparse.ArgumentParser(prog="./run", description="FASTQ files in, FHIR report and lake tables out.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = argv[0] if argv else ""
    for name, (module, purpose) in COMMANDS.items():
        sub = commands.add_parser(name, help=purpose, description=purpose)
        if name == chosen:
            _wire(sub, module)
    local = commands.add_parser("local", help="start one part of the stack alone", description="One part of the stack.")
    parts = local.add_subparsers(dest="part", required=True, metavar="PART")
    for name, (module, purpose) in PARTS.items():
        sub = parts.add_parser(name, help=purpose, description=purpose)
        if chosen == "local" and name in argv[1:2]:
            _wire(sub, module)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _wire(parser: argparse.ArgumentParser, module: str) -> None:
    command = importlib.import_module(module)
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
