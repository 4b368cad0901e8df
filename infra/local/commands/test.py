"""`./run test`: the tests, everything set up that they need."""

import argparse
import subprocess
import sys

from infra.local.node_runtime import ensure_packages
from infra.local.part import ROOT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to pytest, such as -k name or a path")


def run(args: argparse.Namespace) -> int:
    """Install the Node packages and run pytest."""
    ensure_packages()
    return subprocess.run([sys.executable, "-m", "pytest", *args.arguments], cwd=ROOT, check=False).returncode
