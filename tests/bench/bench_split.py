"""The split against `fastp --split_by_lines`: megabytes of FASTQ text per CPU second, and memory.

usage: bench_split.py [--fastq R1 R2] [--copies N] [--memory]

Without --fastq, reads are simulated. The files are concatenated N times (gzip members) to get past the start of every
program. Every step is a fresh process on one thread; CPU seconds are user + system of it and its children. `split`
checks all reads and finds the place of each chunk; `copy` is the split of files without such places, which writes the
reads again; `read` is what the alignment does with a chunk's place. fastp writes two files; it checks less. It is left
out when it is not installed.
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from isal import igzip

from shared.formats.chunk_gzip import ChunkGzip
from shared.formats.fastq import FastqPairs, FastqSource

CHUNK_PAIRS = 500_000
FASTP_LINES = 4 * CHUNK_PAIRS


class Nowhere(io.RawIOBase):
    """A stream that counts what is written."""

    size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self.size += len(data)
        return len(data)


def inflate(paths: list[Path]) -> int:
    """Bytes of text in the files."""
    size = 0
    for path in paths:
        with path.open("rb") as raw, igzip.IGzipFile(fileobj=io.BufferedReader(raw, 1 << 20)) as text:
            while piece := text.read1(1 << 17):
                size += len(piece)
    return size


def validate(paths: list[Path]) -> int:
    with paths[0].open("rb") as r1, paths[1].open("rb") as r2:
        pairs = FastqPairs(FastqSource(r1, "R1"), FastqSource(r2, "R2"))
        while pairs.take(CHUNK_PAIRS):
            pass
        return pairs.count


def split(paths: list[Path]) -> int:
    with paths[0].open("rb") as r1, paths[1].open("rb") as r2:
        pairs = FastqPairs(FastqSource(r1, "R1"), FastqSource(r2, "R2"))
        size = 0
        while block := pairs.take(CHUNK_PAIRS):
            left = CHUNK_PAIRS
            while block:
                left -= block.count
                block = pairs.take(left) if left else None
            size += len(pairs.place().to_json())
        return size


def read(paths: list[Path]) -> int:
    with paths[0].open("rb") as r1, paths[1].open("rb") as r2:
        pairs = FastqPairs(FastqSource(r1, "R1"), FastqSource(r2, "R2"))
        size = 0
        while block := pairs.take(CHUNK_PAIRS):
            size += len(block.text())
        return size


def copy(paths: list[Path]) -> int:
    with paths[0].open("rb") as r1, paths[1].open("rb") as r2:
        pairs = FastqPairs(FastqSource(r1, "R1"), FastqSource(r2, "R2"))
        target = Nowhere()
        while block := pairs.take(CHUNK_PAIRS):
            packed, left = ChunkGzip(target), CHUNK_PAIRS
            while block:
                packed.write(block.text())
                left -= block.count
                block = pairs.take(left) if left else None
            packed.close()
        return target.size


def fastp(paths: list[Path]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        argv = [
            "fastp", "-i", paths[0], "-I", paths[1], "-o", f"{folder}/1.fastq.gz", "-O", f"{folder}/2.fastq.gz",
            "-A", "-G", "-Q", "-L", "-w", "1", "-z", "1", "--split_by_lines", str(FASTP_LINES),
            "-j", "/dev/null", "-h", "/dev/null",
        ]  # fmt: skip
        subprocess.run(argv, check=True, capture_output=True)
        return sum(path.stat().st_size for path in Path(folder).iterdir())


STEPS: dict[str, Callable[[list[Path]], int]] = {
    "inflate": inflate,
    "validate": validate,
    "split": split,
    "copy": copy,
    "read": read,
    "fastp": fastp,
}


def measure(step: str, paths: list[Path]) -> dict[str, float]:
    """One step in a process of its own: its result, CPU seconds and highest memory in MB."""
    argv = [sys.executable, __file__, "--step", step, "--fastq", *map(str, paths)]
    return dict(json.loads(subprocess.run(argv, check=True, capture_output=True).stdout))


def peak_mb() -> float:
    """This program's highest memory; `ru_maxrss` would count that of the process it was forked from (Linux only)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_step(step: str, paths: list[Path]) -> None:
    before = sum(os.times()[:4])
    value = STEPS[step](paths)
    cpu = sum(os.times()[:4]) - before
    print(json.dumps({"value": value, "cpu": cpu, "memory": peak_mb()}))


def simulated(folder: Path) -> list[Path]:
    """Some 60 MB of text of each mate: random bases, a sequencer's names and qualities."""
    import numpy as np

    from infra.local.simulate import QUALITIES, ReadPairs, fastq_text, write_gzip

    draw = np.random.default_rng(1)
    count = 160_000
    bases = tuple(draw.choice(np.frombuffer(b"ACGT", np.uint8), (count, 150)) for _ in (1, 2))
    qualities = tuple(draw.choice(QUALITIES, (count, 150), p=[0.01, 0.05, 0.1, 0.84]) for _ in (1, 2))
    pairs = ReadPairs((bases[0], bases[1]), (qualities[0], qualities[1]))
    paths = [folder / f"R{mate}.fastq.gz" for mate in (1, 2)]
    for mate, path in enumerate(paths, 1):
        write_gzip(path, fastq_text(pairs, mate, 1, range(count)))
    return paths


def copied(paths: list[Path], copies: int, folder: Path) -> list[Path]:
    targets = [folder / f"x{copies}_R{mate}.fastq.gz" for mate in (1, 2)]
    for path, target in zip(paths, targets, strict=True):
        with target.open("wb") as out:
            for _ in range(copies):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, out, 1 << 20)
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastq", nargs=2, type=Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many rounds counts")
    parser.add_argument("--memory", action="store_true", help="also the memory with one copy and with many")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        run_step(args.step, args.fastq)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = args.fastq or simulated(folder)
        paths = copied(originals, args.copies, folder)
        steps = [step for step in STEPS if step != "fastp" or shutil.which("fastp")]
        # Round by round, so that a busy neighbour meets all steps alike.
        rounds = [{step: measure(step, paths) for step in steps} for _ in range(args.rounds)]
        size = rounds[0]["inflate"]["value"]
        best = {step: min(one[step]["cpu"] for one in rounds) for step in steps}
        print(f"{size / 1e6:,.0f} MB of FASTQ text in both files")
        for step in steps:
            memory = "" if step == "fastp" else f", at most {max(one[step]['memory'] for one in rounds):.0f} MB memory"
            print(f"{step:9} {best[step]:6.2f} CPU s  {size / best[step] / 1e6:6.0f} MB/s{memory}")
        print(f"split / inflate: {best['split'] / best['inflate']:.2f} times the CPU time")
        if "fastp" in best:
            print(f"fastp / split: {best['fastp'] / best['split']:.2f} times the CPU time")
        if args.memory:
            for copies in (1, 20):
                found = measure("split", copied(originals, copies, folder))
                print(f"{copies:3} copies: {found['memory']:.0f} MB memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
