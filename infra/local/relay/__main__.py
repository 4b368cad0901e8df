"""`python -m infra.local.relay`."""

import argparse
import sys

from infra.local.relay.service import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="relay", description="Turn new blobs into events in queues.")
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
