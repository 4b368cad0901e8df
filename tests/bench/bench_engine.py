"""The engine against `bwa mem | samtools | bcftools` on the same reads, cores and machine: CPU seconds and F1.

usage: bench_engine.py DATA [--classic CLASSIC.sh] [--score SCORE.py] [--threads 2] [--work DIR]

DATA holds reference.fa.gz, truth.vcf.gz and *_R1_001.fastq.gz with their R2. CLASSIC.sh is run as `CLASSIC.sh
REFERENCE.fa OUTDIR THREADS R1 R2 [R1 R2 ...]` and leaves OUTDIR/sample.vcf.gz; SCORE.py as `SCORE.py TRUTH CALLS
REFERENCE.fa`. Both are optional. Interleaving the FASTQ (the split's work) and building indexes are outside the clock.
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
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from batch_worker.engine.align import AlignSummary, align_chunk
from batch_worker.engine.call import CallOptions, CallSummary, call_shard
from batch_worker.engine.header import SamReadGroup, read_dict
from batch_worker.engine.index import build_index
from shared.domain.genome import Shard, cut_shards
from shared.steps.gather_files import gather_bams, gather_gvcfs, gather_vcfs

HALO_BP = 2_000
BATCH_PAIRS = 20_000


@contextmanager
def clock(name: str, rows: list[tuple[str, float, float]]) -> Iterator[None]:
    """Note wall and CPU seconds (user + system, of this process and of children that have ended)."""
    wall, before = time.perf_counter(), os.times()
    yield
    cpu = sum(os.times()[:4]) - sum(before[:4])
    rows.append((name, time.perf_counter() - wall, cpu))


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


def ours(chunks: list[Path], reference: Path, work: Path, workers: int) -> tuple[list[tuple[str, float, float]], Path]:
    rows: list[tuple[str, float, float]] = []
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
        rows.append(("engine, all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
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
        print(f"{'':26}{'wall s':>8}{'CPU s':>8}")
        for name, wall, cpu in rows:
            print(f"{name:26}{wall:8.1f}{cpu:8.1f}")
        if options.classic:
            print(f"classic CPU / engine CPU: {rows[-1][2] / rows[-2][2]:.2f}")
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
