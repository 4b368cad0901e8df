"""`python -m infra.local.batch_service`: the service alone."""

import argparse
import sys

from infra.local.batch_service import add_arguments, run


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="batch_service", description="A local Azure Batch account.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
