"""`./run panel`: install a test's definition, with the BED file of its targets, in a storage account."""

import argparse
from pathlib import Path

from shared.adapters.blobs import AzureBlobs
from shared.adapters.identity import sign_in
from shared.steps.panels import install_definition


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    install = actions.add_parser("install", help="upload a test's definition to the `reference` container")
    install.add_argument("folder", type=Path, help="folder with definition.json and the BED file that it names")
    target = install.add_mutually_exclusive_group(required=True)
    target.add_argument("--connection-string", help="of the data account (local stack)")
    target.add_argument("--blob-uri", help="blob endpoint of the data account; signs in as you are (az login)")
    install.set_defaults(act=_install)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action."""
    return int(args.act(args))


def _install(args: argparse.Namespace) -> int:
    credential = sign_in() if args.blob_uri else None
    blobs = AzureBlobs.connect(args.connection_string, args.blob_uri, credential)
    definition = install_definition(args.folder, blobs)
    targets = f"targets {definition.targets}" if definition.targets else "no targets: the whole genome"
    print(f"Test '{definition.code}' is defined ({targets}); orders that name it in `test.code` follow it from now on.")
    return 0
