"""`./run golden`: renew the golden files and show what changed."""

import argparse
import os
import subprocess
import sys

from infra.local.part import ROOT

TESTS = "tests/unit/shared/fhir/test_fhir_golden.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no options."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Run the golden tests so that they write, then show the difference."""
    del args
    environment = {**os.environ, "RENEW_GOLDEN": "1"}
    argv = [sys.executable, "-m", "pytest", "-q", TESTS]
    done = subprocess.run(argv, cwd=ROOT, env=environment, check=False)
    subprocess.run(["git", "diff", "--stat", "-p", "tests/golden"], cwd=ROOT, check=False)
    return done.returncode
