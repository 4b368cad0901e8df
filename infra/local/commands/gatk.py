"""`./run gatk`: bring GATK, the second variant caller, to this machine; print where it is."""

import argparse

from infra.local.gatk import ensure_gatk
from shared.errors import PermanentError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no options."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Bring it and print the folder, which is what the setting GATK_HOME means."""
    del args
    answer = ensure_gatk()
    if answer.home is None:
        raise PermanentError(f"GATK is not installed: {answer.reason}.")
    print(answer.home)
    return 0
