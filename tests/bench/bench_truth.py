"""Accuracy of the callers on simulated reads of a donor whose variants are known: recall, precision, F1, genotypes.

usage: bench_truth.py [--depths 10,30,60] [--seeds 101,102] [--bp 500000] [--absent 0.003] [--callers engine,classic]
                      [--reference FASTA] [--classic CLASSIC.sh] [--gatk HOME] [--plug NAME=MODULE:FUNCTION]
                      [--json OUT.json]

Without --reference the human sequence beside the checkout (../shared/data/human2mb) is taken when it is there, and the
demo's synthetic genome when it is not. A caller is a function from a `Run` (FASTQ pair, reference) to a VCF: the engine
as it is by default; the engine with GATK when --gatk names the folder of its jars; the script --classic; and what
--plug adds. Scores of the seeds are added up. Seeds from 100 on are for reporting; settings were tuned on those below.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from batch_worker.engine.header import read_dict
from batch_worker.engine.index import build_index
from infra.local.demo_genome import Bases
from shared.domain.genome import cut_shards
from shared.steps.gather_files import gather_vcfs
from tests.bench.bench_engine import HALO_BP, align, interleave, ours
from tests.bench.truth_compare import KINDS, Score, read_events, scores
from tests.bench.truth_data import make_sample, read_reference, synthetic_reference
from tests.bench.truth_donor import DonorModel

ROOT = Path(__file__).parents[2]
HUMAN = ROOT.parent / "shared" / "data" / "human2mb" / "reference.fa.gz"
CLASSIC = ROOT.parent / "shared" / "bench" / "classic.sh"


@dataclass(frozen=True, slots=True)
class Run:
    """What a caller gets.

    Attributes:
        reference: `reference.fa` with the engine's index beside it.
        fasta: The same sequence alone; a caller may put its own index beside it.
        r1: FASTQ.gz.
        r2: FASTQ.gz.
        chunk: The pairs interleaved, as the split writes them.
        work: A folder of the caller's own.
        threads: Processes or threads to use.
    """

    reference: Path
    fasta: Path
    r1: Path
    r2: Path
    chunk: Path
    work: Path
    threads: int


Caller = Callable[[Run], Path]
"""From reads to a VCF(.gz) of one sample."""


def engine(run: Run) -> Path:
    """Our engine with its defaults."""
    return ours([run.chunk], run.reference, run.work, run.threads)[1]


def classic_of(script: Path) -> Caller:
    """bwa mem | samtools | bcftools, as the script runs them."""

    def classic(run: Run) -> Path:
        argv = ["bash", str(script), str(run.fasta), str(run.work), str(run.threads), str(run.r1), str(run.r2)]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
        return run.work / "sample.vcf.gz"

    return classic


def gatk_of(home: Path) -> Caller:
    """Our engine with GATK (jars in `home`) as its caller; qualities are as simulated: there are no known sites."""

    def gatk(run: Run) -> Path:
        from batch_worker.engine.gatk import GatkOptions, call_shard_gatk  # type: ignore[import-not-found,unused-ignore]
        from batch_worker.engine.gatk_tools import find_gatk  # type: ignore[import-not-found,unused-ignore]

        shards = cut_shards(read_dict(run.reference.with_name(f"{run.reference.name}.dict")), 10**9)
        parts = [[part.path] for part in align(shards, run.reference, run.work, run.chunk).parts]
        called = [
            call_shard_gatk(
                parts[shard.number], shard=shard, tables=(), reference=run.reference, halo_bp=HALO_BP,
                options=GatkOptions(), gatk=find_gatk(home), out_dir=run.work / f"{shard.number}", log=run.work / "log",
            )
            for shard in shards
        ]  # fmt: skip
        return gather_vcfs([summary.vcf for summary in called], run.work / "sample.vcf.gz").path

    return gatk


def load_reference(path: Path | None, bp: int) -> Mapping[str, Bases]:
    """The sequence to plant variants in."""
    if path is None and not HUMAN.exists():
        return synthetic_reference(bp)
    return read_reference(path or HUMAN, bp)


Results = dict[tuple[float, str, str], dict[str, Score]]
"""Scores by kind for (depth, caller, which calls)."""

UNIQUE = "PASS, unique"
"""Calls that passed, outside of the planted copies and their sources."""


def measure(
    reference: Mapping[str, Bases],
    model: DonorModel,
    seeds: list[int],
    depths: list[float],
    callers: Mapping[str, Caller],
    threads: int,
) -> tuple[Results, dict[tuple[float, str], float]]:
    """Scores and CPU seconds, added up over the seeds."""
    results: Results = {}
    seconds: dict[tuple[float, str], float] = {}
    for seed in seeds:
        for depth in depths:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                began = time.perf_counter()
                sample = make_sample(reference, seed, depth, folder, model)
                simulated = time.perf_counter() - began
                index = build_index(sample.fasta, folder / "index")[0]
                chunk = interleave(sample.r1, sample.r2, folder / "L1.fastq.gz")
                note = f"seed {seed}, {depth:g}x: {sample.pairs:,} pairs and {len(sample.truth):,} alleles"
                print(f"{note} made in {simulated:.1f} s", file=sys.stderr, flush=True)
                for name, caller in callers.items():
                    work = folder / name
                    work.mkdir()
                    run = Run(index, sample.fasta, sample.r1, sample.r2, chunk, work, threads)
                    before = sum(os.times()[:4])
                    calls = read_events(caller(run), sample.contigs)
                    spent = sum(os.times()[:4]) - before
                    seconds[depth, name] = seconds.get((depth, name), 0.0) + spent
                    for choice in ("all", "PASS", UNIQUE):
                        chosen = [event for event in calls if event.passed or choice == "all"]
                        outside = sample.copies if choice == UNIQUE else ()
                        made = scores(sample.truth, chosen, sample.contigs, outside)
                        so_far = results.setdefault((depth, name, choice), dict.fromkeys(made, Score()))
                        for kind, score in made.items():
                            so_far[kind] += score
    return results, seconds


def table(results: Results, seconds: Mapping[tuple[float, str], float]) -> str:
    """SNVs and indels by depth and caller; then the indels by size."""
    lines = [f"{'':33}{'---------------- SNV ----------------':^42}{'--------------- indel ---------------':^42}"]
    columns = f"{'recall':>9}{'precision':>11}{'F1':>9}{'genotype':>10}   "
    lines.append(f"{'depth caller         calls':33}{columns}{columns}{'CPU s':>7}")
    for (depth, name, choice), by_kind in sorted(results.items(), key=lambda row: row[0][0]):
        cells = "".join(
            f"{s.recall:9.4f}{s.precision:11.4f}{s.f1:9.4f}{s.genotypes:10.4f}   "
            for s in (by_kind["SNV"], by_kind["indel"])
        )
        lines.append(f"{depth:4g}x {name:14} {choice:12} {cells}{seconds[depth, name]:7.1f}")
    lines += ["", "indels by length, bp: recall/precision", f"{'':33}" + "".join(f"{kind:>15}" for kind in KINDS[1:])]
    for (depth, name, choice), by_kind in sorted(results.items(), key=lambda row: row[0][0]):
        cells = "".join(f"{f'{by_kind[k].recall:.3f}/{by_kind[k].precision:.3f}':>15}" for k in KINDS[1:])
        lines.append(f"{depth:4g}x {name:14} {choice:12} {cells}")
    counted = next(iter(results.values()))
    lines.append(f"{'alleles in the truth':33}" + "".join(f"{counted[kind].truth:15,}" for kind in KINDS[1:]))
    return "\n".join(lines)


def as_json(results: Results, seconds: Mapping[tuple[float, str], float]) -> list[dict[str, object]]:
    """One object per depth, caller and choice of calls, with the counts and the shares."""
    return [
        {
            "depth": depth,
            "caller": name,
            "calls": choice,
            "cpu_seconds": round(seconds[depth, name], 2),
            "kinds": {
                kind: {
                    **asdict(s),
                    "recall": round(s.recall, 5),
                    "precision": round(s.precision, 5),
                    "f1": round(s.f1, 5),
                    "genotypes": round(s.genotypes, 5),
                }
                for kind, s in by_kind.items()
            },
        }
        for (depth, name, choice), by_kind in results.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="10,30,60")
    parser.add_argument("--seeds", default="101")
    parser.add_argument("--bp", type=int, default=500_000)
    parser.add_argument("--absent", type=float, default=DonorModel().absent, help="share that the reference lacks")
    parser.add_argument("--callers", default="")
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--classic", type=Path, default=CLASSIC)
    parser.add_argument("--gatk", type=Path, help="folder with gatk-VERSION.jar and what it needs")
    parser.add_argument("--plug", action="append", default=[], metavar="NAME=MODULE:FUNCTION")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    callers: dict[str, Caller] = {"engine": engine}
    if options.classic.exists():
        callers["classic"] = classic_of(options.classic)
    if options.gatk:
        callers["gatk"] = gatk_of(options.gatk)
    for plug in options.plug:
        name, _, place = plug.partition("=")
        module, _, function = place.partition(":")
        callers[name] = getattr(importlib.import_module(module), function)
    chosen = options.callers.split(",") if options.callers else list(callers)
    if unknown := sorted(set(chosen) - set(callers)):
        parser.error(f"no such caller: {', '.join(unknown)}; there are {', '.join(callers)}")
    results, seconds = measure(
        load_reference(options.reference, options.bp),
        DonorModel(absent=options.absent),
        [int(seed) for seed in options.seeds.split(",")],
        [float(depth) for depth in options.depths.split(",")],
        {name: callers[name] for name in chosen},
        options.threads,
    )
    print(table(results, seconds))
    if options.json:
        options.json.write_text(json.dumps(as_json(results, seconds), indent=1) + "\n")


if __name__ == "__main__":
    main()
