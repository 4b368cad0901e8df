"""`python -m batch_worker`: what a Batch task runs."""

import logging
import os
import sys

from batch_worker.cli import main

if __name__ == "__main__":
    status = main(sys.argv[1:])
    # The marker is written and checked; taking the interpreter and its libraries apart in order would only cost a task
    # of seconds another quarter of one.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
