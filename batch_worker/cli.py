"""The worker's command line: parse, wire, run one task. Its exit status says what Batch should do."""

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from batch_worker.task import TaskContext, run_task
from shared.adapters.blobs import AzureBlobs
from shared.adapters.identity import sign_in
from shared.domain.ids import AnalysisId
from shared.domain.work import parse_work
from shared.settings import StorageSettings, worker_settings


def main(argv: Sequence[str]) -> int:
    """Run the worker; returns the process's exit status."""
    parser = argparse.ArgumentParser(prog="batch_worker", description="One task of an analysis on a Batch node.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one unit of work and leave its marker")
    run.add_argument(
        "work", type=parse_work, help="such as align-S1_L001-00000, recalibrate-00003, call-00003, gather, joint"
    )
    run.add_argument("analysis", help="id of the analysis or the cohort")
    run.add_argument("attempt", type=int, help="which attempt this is, from 0")
    run.add_argument("--threads", type=int, default=1, help="threads that the task may use (default: 1)")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    settings = worker_settings()
    context = TaskContext(
        blobs=connect_blobs(settings),
        threads=args.threads,
        directory=Path(settings.task_dir or Path.cwd()),
        cache=Path(settings.node_shared_dir or Path.cwd()) / "reference-bundles",
        clock=lambda: datetime.now(UTC),
        share_index=settings.share_index,
        gatk_home=Path(settings.gatk_home),
        multiqc=Path(settings.multiqc),
    )
    return run_task(args.work, AnalysisId(args.analysis), args.attempt, context)


def connect_blobs(settings: StorageSettings) -> AzureBlobs:
    """The data account's blobs: by connection string locally, by the node's identity in the cloud."""
    if settings.data_connection:
        return AzureBlobs.connect(settings.data_connection)
    return AzureBlobs.connect(blob_uri=settings.data_blob_uri, credential=sign_in(settings.identity_client_id))
