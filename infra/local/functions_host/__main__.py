"""`python -m infra.local.functions_host`."""

import argparse
import sys

from infra.local.functions_host.service import add_arguments, run
from shared.errors import PermanentError

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="functions_host", description="Run a Function App on this machine.")
    add_arguments(parser)
    try:
        sys.exit(run(parser.parse_args()))
    except PermanentError as error:
        print(f"functions host: {error}", file=sys.stderr)
        sys.exit(2)
