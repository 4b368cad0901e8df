"""`./run demo`: a synthetic sample from FASTQ to FHIR report on the local stack, scored against its truth."""

import argparse
import os
from pathlib import Path

from batch_worker.tasks.reference import BundleSources
from infra.local.commands.up import print_endpoints, wait_for_end
from infra.local.compare import compare
from infra.local.demo_data import BUNDLE, DemoData, make_demo_data
from infra.local.job import SampleJob, prepare_bundle, run_job, tell
from infra.local.part import STATE
from infra.local.sizing import settings_for
from infra.local.stack import AttachedStack, StackOptions, open_stack
from shared.domain.reference import Assembly

SAMPLE = "DEMO001"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--state", type=Path, default=STATE / "demo", help="folder of all data and logs")
    parser.add_argument("--keep", action="store_true", help="leave the stack up afterwards, until Ctrl-C")


def run(args: argparse.Namespace) -> int:
    """Make the data, run the chain, say where the results are and how good the calls are."""
    state: Path = args.state
    print("Making a synthetic genome with genes, a donor with a planted pathogenic variant, and its reads ...")
    data = make_demo_data(state / "data", sample=SAMPLE, with_array=True)
    sources = BundleSources(data.fasta, data.genes, data.clinvar, common_sites=data.common_sites)
    manifest = prepare_bundle(BUNDLE, Assembly.OTHER, sources, state / "bundle")
    slots = os.cpu_count() or 1
    genome_bp = sum(contig.length for contig in manifest.contigs)
    options = StackOptions(
        state=state / "stack",
        slots=slots,
        settings=settings_for(genome_bp, data.fastqs, slots),
        usual_ports=args.keep,
    )
    print("Starting the local stack: storage, event relay, Batch, FHIR server, functions ...", flush=True)
    job = SampleJob(
        SAMPLE, data.fastqs, data.order, state / "bundle", state / "results", (data.array,) if data.array else ()
    )
    with open_stack(options) as stack:
        finished = run_job(stack, job)
        tell(stack, job, finished)
        _score(data, job)
        if args.keep and not isinstance(stack, AttachedStack):
            print_endpoints(stack.endpoints, state / "stack")
            wait_for_end(stack)
        elif not args.keep:
            print("\nThe FHIR address answers only while the stack is up: `./run demo --keep` leaves it up to explore.")
    return 0


def _score(data: DemoData, job: SampleJob) -> None:
    """Print recall and precision against the planted variants."""
    print("\nAgainst the donor's planted variants (calls that pass all filters):")
    for score in compare(data.truth, job.out / f"{job.sample}.vcf.gz", data.fasta):
        if score.calls == "PASS":
            print(
                f"  {score.kind:<6} planted {score.truth:>4}  called {score.called:>4}  "
                f"recall {score.recall:.3f}  precision {score.precision:.3f}"
            )
