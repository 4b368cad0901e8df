"""The engine against `bwa mem | samtools | bcftools` on the same reads, cores and machine: CPU, memory and F1.

usage: bench_engine.py DATA [--classic CLASSIC.sh] [--score SCORE.py] [--threads 2] [--work DIR]

DATA holds reference.fa.gz, truth.vcf.gz and *_R1_001.fastq.gz with their R2. CLASSIC.sh is run as `CLASSIC.sh
REFERENCE.fa OUTDIR THREADS R1 R2 [R1 R2 ...]` and leaves OUTDIR/sample.vcf.gz; SCORE.py as `SCORE.py TRUTH CALLS
REFERENCE.fa`. Both are optional. Interleaving the FASTQ (the split's work) and building indexes are outside the clock.
Memory and the CPU of single programs are sampled from /proc, so short programs are missed in part; totals are not.
"""

import argparse
import gzip
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from batch_worker.engine.align import AlignSummary, align_chunk
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.header import SamReadGroup, read_dict
from batch_worker.engine.index import build_index
from shared.domain.genome import Shard, cut_shards
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs
from tests.bench.process_tree import ProcessTree

HALO_BP = 2_000
BATCH_PAIRS = 20_000


@dataclass(frozen=True)
class Row:
    """A line of the table: seconds, and memory of all processes together at its peak and of the largest one, MB."""

    name: str
    wall: float
    cpu: float
    all_mb: float
    one_mb: float
    programs: dict[str, float]
    program_mb: dict[str, float]


@contextmanager
def clock(name: str, rows: list[Row]) -> Iterator[None]:
    """Note wall and CPU seconds (user + system, of this process and of children that have ended), and memory."""
    wall, before = time.perf_counter(), os.times()
    with ProcessTree() as tree:
        yield
    cpu = sum(os.times()[:4]) - sum(before[:4]) - tree.own_cpu
    biggest = max(tree.process_mb.values(), default=0.0)
    rows.append(Row(name, time.perf_counter() - wall, cpu, tree.peak_mb, biggest, tree.cpu, dict(tree.process_mb)))


def tell(rows: list[Row]) -> None:
    """Print the table; the programs of a row with several below it."""
    print(f"{'':30}{'wall s':>8}{'CPU s':>8}{'all MB':>9}{'largest MB':>12}")
    for row in rows:
        print(f"{row.name:30}{row.wall:8.1f}{row.cpu:8.1f}{row.all_mb:9.0f}{row.one_mb:12.0f}")
        for name, cpu in row.programs.items():
            if len(row.programs) > 1 and cpu >= 0.05:
                print(f"    {name:26}{'':8}{cpu:8.1f}{'':9}{row.program_mb[name]:12.0f}")


def interleave(r1: Path, r2: Path, out: Path) -> Path:
    with gzip.open(r1) as first, gzip.open(r2) as second, gzip.open(out, "wb", 1) as target:
        while lines := [first.readline() for _ in range(4)]:
            if not lines[0]:
                break
            target.write(b"".join(lines + [second.readline() for _ in range(4)]))
    return out


def align(shards: tuple[Shard, ...], reference: Path, work: Path, reads: Path) -> AlignSummary:
    lane = reads.name.split(".")[0]
    return align_chunk(
        reads, index_prefix=reference, read_group=SamReadGroup(lane, "sample", "lib1", "ILLUMINA", lane), shards=shards,
        halo_bp=HALO_BP, batch_pairs=BATCH_PAIRS, threads=1, out_dir=work / lane, log=work / f"{lane}.log",
    )  # fmt: skip


def call(aligned: list[AlignSummary], reference: Path, work: Path, shard: Shard) -> CallSummary:
    return call_shard(
        [summary.parts[shard.number].path for summary in aligned], shard=shard, reference=reference, halo_bp=HALO_BP,
        options=CallOptions(), out_dir=work / str(shard.number), log=work / f"{shard.number}.log",
    )  # fmt: skip


def ours(chunks: list[Path], reference: Path, work: Path, workers: int) -> tuple[list[Row], Path]:
    rows: list[Row] = []
    shards = cut_shards(read_dict(reference.with_name(reference.name + ".dict")), 1_000_000)
    spawn = multiprocessing.get_context("spawn")  # as in production: a task is a fresh process
    with clock("align, sort, cut", rows), ProcessPoolExecutor(workers, spawn) as pool:
        aligned = list(pool.map(partial(align, shards, reference, work), chunks))
    with clock("merge, duplicates, call", rows), ProcessPoolExecutor(workers, spawn) as pool:
        called = list(pool.map(partial(call, aligned, reference, work), shards))
    with clock("gather", rows):
        gather_bams([s.bam for s in called], work / "sample.bam")
        vcf = gather_vcfs([s.vcf for s in called], work / "sample.vcf.gz")
        gather_gvcfs([s.gvcf for s in called], work / "sample.g.vcf.gz")
    return rows, vcf.path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--classic", type=Path)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        reference = build_index(options.data / "reference.fa.gz", work / "reference")[0]
        lanes = [(r1, Path(str(r1).replace("_R1_", "_R2_"))) for r1 in sorted(options.data.glob("*_R1_001.fastq.gz"))]
        chunks = [interleave(*lane, work / f"L{number}.fastq.gz") for number, lane in enumerate(lanes, start=1)]
        rows, vcf = ours(chunks, reference, work, options.threads)
        rows.append(
            Row(
                "engine, all",
                sum(row.wall for row in rows),
                sum(row.cpu for row in rows),
                max(row.all_mb for row in rows),
                max(row.one_mb for row in rows),
                {},
                {},
            )
        )
        results = {"engine": vcf}
        if options.classic:
            plain = work / "classic.fa"
            plain.write_bytes(reference.read_bytes())
            subprocess.run(["bwa", "index", str(plain)], check=True, stderr=subprocess.DEVNULL)
            subprocess.run(["samtools", "faidx", str(plain)], check=True)
            fastqs = [str(path) for lane in lanes for path in lane]
            with clock("classic, all", rows):
                argv = ["bash", str(options.classic), str(plain), str(work / "classic"), str(options.threads), *fastqs]
                subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
            results["classic"] = work / "classic" / "sample.vcf.gz"
        tell(rows)
        if options.classic:
            print(f"engine CPU / classic CPU: {rows[-2].cpu / rows[-1].cpu:.2f}")
        if options.score:
            for name, calls in results.items():
                argv = [
                    sys.executable,
                    str(options.score),
                    str(options.data / "truth.vcf.gz"),
                    str(calls),
                    str(reference),
                ]
                text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
                print("".join(f"{name:8} {line}\n" for line in text.splitlines()), end="")


if __name__ == "__main__":
    main()
