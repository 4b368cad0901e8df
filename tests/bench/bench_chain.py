#!/usr/bin/env python3
"""The whole chain on real data against doing it by hand: accuracy, CPU time, and where the wall time goes.

usage: python tests/bench/bench_chain.py --data DIR [--classic classic.sh] [--score score.py] [--work DIR]

DIR holds `reference.fa.gz`, `truth.vcf.gz` and one sample's FASTQ pairs. The yardstick is a script that is called as
`classic.sh REFERENCE.fa OUTDIR THREADS R1 R2 [R1 R2 ...]` and leaves `OUTDIR/sample.vcf.gz`; without it only the chain
is measured. The scorer is called as `score.py TRUTH CALLS REFERENCE.fa`; without it the project's own comparison is
used. The yardstick's index and the chain's reference bundle are made beforehand and are in neither figure.

Linux only: CPU time of the stack's processes is read from /proc.
"""

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from chain_report import (  # noqa: E402 - beside this file
    STAGES,
    Chain,
    Classic,
    Memory,
    TaskRun,
    Work,
    tell_cpu,
    tell_memory,
    tell_scores,
    tell_wall,
)
from process_tree import ProcessTree  # noqa: E402

from batch_worker.tasks.reference import BundleSources, install_bundle  # noqa: E402 - the root must be on the path
from infra.local.commands.sample import _sample_of  # noqa: E402
from infra.local.compare import compare  # noqa: E402
from infra.local.drop import Lab  # noqa: E402
from infra.local.job import prepare_bundle  # noqa: E402
from infra.local.sizing import settings_for  # noqa: E402
from infra.local.stack import BATCH_ACCOUNT, BATCH_KEY, Stack, StackOptions  # noqa: E402
from infra.local.watch import wait_for_plan, watch  # noqa: E402
from shared import naming  # noqa: E402
from shared.adapters.blobs import AzureBlobs  # noqa: E402
from shared.domain.ids import AnalysisId, canonical_json  # noqa: E402
from shared.domain.markers import Marker  # noqa: E402
from shared.domain.order import parse_order  # noqa: E402
from shared.domain.reference import Assembly  # noqa: E402
from shared.steps.look import read_aligned, read_called, read_chunks, read_plan  # noqa: E402

CLASSIC_PROGRAMS = ("bwa", "samtools", "bcftools", "bash")
LIMIT_SECONDS = 3600
BUNDLE = "bench"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run both, score both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="reference.fa.gz, truth.vcf.gz and FASTQ pairs")
    parser.add_argument("--classic", type=Path, help="script of the yardstick; left out: only the chain is measured")
    parser.add_argument("--score", type=Path, help="script that scores a VCF; left out: infra/local/compare.py")
    parser.add_argument("--work", type=Path, default=ROOT / ".local/bench/chain", help="scratch folder, kept")
    parser.add_argument("--cores", type=int, default=2, help="threads of the yardstick, Batch slots of the chain")
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="app setting to try, such as SHARD_BP=500000",
    )
    args = parser.parse_args()
    fault = _missing(args)
    if fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    work: Path = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    fastqs = tuple(sorted(args.data.resolve().glob("*.fastq.gz")))
    fasta = work / "reference.fa"
    if not fasta.exists():
        with gzip.open(args.data / "reference.fa.gz") as packed, fasta.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    classic = run_classic(args.classic, fasta, fastqs, args.cores, work) if args.classic else None
    settings = dict(item.split("=", 1) for item in args.setting)
    chain = run_chain(args.data / "reference.fa.gz", fastqs, args.cores, work, settings)
    truth = args.data / "truth.vcf.gz"
    scores = {"chain": score(truth, chain.vcf, fasta, args.score)}
    if classic:
        scores = {"classic": score(truth, classic.vcf, fasta, args.score), **scores}
    print()
    tell_scores(scores)
    tell_cpu(chain, classic)
    tell_memory(chain, classic)
    tell_wall(chain, classic)
    (work / "bench_chain.json").write_text(
        json.dumps(
            {"scores": scores, "chain": asdict(chain), "classic": asdict(classic) if classic else None},
            indent=1,
            default=str,
        )
    )
    return 0


def _missing(args: argparse.Namespace) -> str:
    """What keeps the benchmark from running; empty when nothing does."""
    if not Path("/proc/self/stat").exists():
        return "this benchmark reads CPU times from /proc and runs on Linux only."
    needed = [args.data / "reference.fa.gz", args.data / "truth.vcf.gz", args.classic, args.score]
    if any("=" not in item for item in args.setting):
        return "--setting takes NAME=VALUE."
    absent = [str(path) for path in needed if path is not None and not path.is_file()]
    if absent:
        return f"{', '.join(absent)} not found. Check --data, --classic and --score."
    if not any(args.data.glob("*.fastq.gz")):
        return f"{args.data} holds no *.fastq.gz. Give the folder with one sample's FASTQ pairs."
    programs = (*(CLASSIC_PROGRAMS if args.classic else ()), *(("bcftools",) if args.score else ()))
    lacking = sorted({program for program in programs if shutil.which(program) is None})
    if lacking:
        return (
            f"{', '.join(lacking)} not on the PATH; the yardstick and its scorer need them (Debian: apt-get install "
            "bwa samtools bcftools tabix). Without --classic and --score the chain alone is measured."
        )
    return ""


# --- the yardstick -----------------------------------------------------------------------------------------


def run_classic(script: Path, fasta: Path, fastqs: Sequence[Path], cores: int, work: Path) -> Classic:
    """Index outside the figure, then the script's CPU and wall time."""
    if not fasta.with_name(f"{fasta.name}.bwt").exists():
        subprocess.run(["bwa", "index", str(fasta)], check=True, capture_output=True)
    subprocess.run(["samtools", "faidx", str(fasta)], check=True)
    out = work / "classic"
    shutil.rmtree(out, ignore_errors=True)
    pairs = [str(path) for path in fastqs]
    print(f"Running {script.name} with {cores} threads ...", flush=True)
    stranger, before, began = _machine_cpu(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with ProcessTree() as tree:
        done = subprocess.run(
            ["bash", str(script.resolve()), str(fasta), str(out), str(cores), *pairs],
            check=False,
            capture_output=True,
            text=True,
        )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"error: {script} ended with status {done.returncode}: {done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    others = max(0.0, _machine_cpu() - stranger - cpu - tree.own_cpu)
    return Classic(out / "sample.vcf.gz", cpu, wall, others, Memory(tree.peak_mb, tree.process_mb), tree.cpu)


# --- the chain ---------------------------------------------------------------------------------------------


def run_chain(reference: Path, fastqs: tuple[Path, ...], cores: int, work: Path, settings: Mapping[str, str]) -> Chain:
    """Stack up and bundle installed outside the figures; then from the drop to the last marker."""
    manifest = prepare_bundle(BUNDLE, Assembly.OTHER, BundleSources(reference, None, None), work / "bundle")
    sample = _sample_of(fastqs)
    order = work / "order.json"
    values = {
        "sample": sample,
        "patient": {"identifier": {"system": "urn:example:bench", "value": sample}},
        "test": {"code": "germline-small-variants", "display": "Germline small variants"},
        "reference": BUNDLE,
        "files": [path.name for path in fastqs],
    }
    order.write_bytes(parse_order(canonical_json(values), f"{sample}/order.json").to_json())
    # Ids follow from the inputs, so a second run on the same state would find everything done.
    state = work / "stack"
    shutil.rmtree(state, ignore_errors=True)
    genome_bp = sum(contig.length for contig in manifest.contigs)
    options = StackOptions(state, slots=cores, settings={**settings_for(genome_bp, fastqs, cores), **settings})
    print(f"Starting the stack with {cores} Batch slots ...", flush=True)
    with Stack(options) as stack:
        blobs = AzureBlobs.connect(stack.endpoints.connection_string)
        install_bundle(work / "bundle", blobs)
        lab = Lab(stack.endpoints)
        cpu, stranger, stalled, began = _stack_cpu(), _machine_cpu(), _disk_stall(), time.monotonic()
        own = time.process_time()
        dropped = datetime.now(UTC)
        with ProcessTree(counts=lambda name: name.endswith(" task") or name.startswith("bcftools")) as tree:
            lab.drop(sample, [*fastqs, order])
            uploaded = time.monotonic() - began
            analysis = wait_for_plan(lab, sample, stack.check)
            watch(lab, analysis, stack.check, LIMIT_SECONDS)
        wall = time.monotonic() - began
        used = {name: value - cpu.get(name, 0.0) for name, value in _stack_cpu().items()}
        used["lab"] = time.process_time() - own - tree.own_cpu
        others = max(0.0, _machine_cpu() - stranger - sum(used.values()))
        stalled = _disk_stall() - stalled
        works = tuple(_works(AnalysisId(analysis), sample, blobs, lab, dropped))
        tasks = tuple(_tasks(stack.endpoints.batch, AnalysisId(analysis), dropped))
        results = work / "results"
        shutil.rmtree(results, ignore_errors=True)
        lab.fetch_results(sample, analysis, results)
    memory = Memory(tree.peak_mb, tree.process_mb)
    return Chain(results / f"{sample}.vcf.gz", uploaded, works, tasks, used, others, stalled, wall, memory)


def _works(analysis: AnalysisId, sample: str, blobs: AzureBlobs, lab: Lab, dropped: datetime) -> Iterable[Work]:
    plan = read_plan(analysis, blobs)
    found: list[tuple[str, Marker]] = []
    found += [("split", marker) for marker in read_chunks(plan, blobs)[1].values()]
    found += [("align", marker) for marker in read_aligned(plan, blobs).values()]
    found += [("call", marker) for marker in read_called(plan, blobs).values()]
    for stage, name in zip(STAGES[3:], ("gathered", "annotated", "delivered", "archived"), strict=True):
        values = lab.marker(sample, analysis, name)
        found.append((stage, Marker(**{key: values[key] for key in Marker.model_fields if key in values})))
    for stage, marker in found:
        start, end = ((moment - dropped).total_seconds() for moment in (marker.started, marker.ended))
        yield Work(stage, start, end, marker.core_seconds)


def _tasks(endpoint: str, analysis: AnalysisId, dropped: datetime) -> Iterable[TaskRun]:
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    client = BatchClient(endpoint, AzureNamedKeyCredential(BATCH_ACCOUNT, BATCH_KEY))
    for task in client.list_tasks(naming.job_id(analysis)):
        info = task.execution_info
        if info and info.start_time and info.end_time and task.creation_time:
            moments = (task.creation_time, info.start_time, info.end_time)
            yield TaskRun(str(task.id), *((moment - dropped).total_seconds() for moment in moments))


# --- CPU time from /proc -----------------------------------------------------------------------------------


def _machine_cpu() -> float:
    """CPU seconds of all processes since boot: user, nice, system, interrupts, and what other machines took."""
    fields = [int(field) for field in Path("/proc/stat").read_text().partition("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICKS


def _disk_stall() -> float:
    """Seconds since boot in which all of the machine's work waited for the disk; 0 where the kernel does not say."""
    try:
        text = Path("/proc/pressure/io").read_text()
    except OSError:
        return 0.0
    found = re.search(r"full .*total=(\d+)", text)
    return int(found[1]) / 1e6 if found else 0.0


def _stack_cpu() -> dict[str, float]:
    """CPU seconds of this process's descendants by part of the stack; ended and reaped ones are in their parent's."""
    processes: dict[int, tuple[int, float, float]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it has just ended
                continue
            fields = text.rpartition(")")[2].split()
            times = [int(field) / TICKS for field in fields[11:15]]
            processes[int(folder.name)] = (int(fields[1]), sum(times[:2]), sum(times[2:]))
    children = defaultdict(list)
    for pid, (parent, _, _) in processes.items():
        children[parent].append(pid)

    def below(pid: int) -> float:
        return sum(processes[child][1] + processes[child][2] + below(child) for child in children[pid])

    totals: dict[str, float] = defaultdict(float)
    for pid in children[os.getpid()]:
        part = _part_name(pid)
        _, own, reaped = processes[pid]
        if part == "batch":
            totals["batch service"] += own
            totals["batch tasks"] += reaped + below(pid)
        else:
            totals[part] += own + reaped + below(pid)
    return dict(totals)


def _part_name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index("local") + 1] if "local" in words else "other"


# --- scores ------------------------------------------------------------------------------------------------


def score(truth: Path, calls: Path, fasta: Path, script: Path | None) -> dict[str, dict[str, float]]:
    """Counts and ratios by variant kind."""
    if script is None:
        return {
            one.kind.lower(): {
                "truth": one.truth,
                "called": one.called,
                "recall": one.recall,
                "precision": one.precision,
                "F1": one.f1,
                "genotype": one.genotype_concordance,
            }
            for one in compare(truth, calls, fasta)
            if one.calls == "PASS"
        }
    argv = [sys.executable, str(script), str(truth), str(calls), str(fasta)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return {
        line.partition("\t")[0]: {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", line)}
        for line in text.splitlines()
    }


if __name__ == "__main__":
    sys.exit(main())
