"""`python -m batch_worker`: what a Batch task runs."""

import sys

from batch_worker.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
