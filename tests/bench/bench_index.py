"""Memory and start time of tasks that align at the same time, with an index of their own and with the node's copy.

usage: bench_index.py REFERENCE.fa [--tasks 2]

REFERENCE.fa has the files of `build_index` beside it. Each task aligns 20,000 pairs cut from it. Nothing stays staged.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from batch_worker.engine.header import read_dict
from batch_worker.engine.shared_index import drop_unused, index_prefix
from batch_worker.process import stderr_to

PAIRS, READ_BP, FRAGMENT_BP = 20_000, 150, 400
COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def memory() -> dict[str, float]:
    """What this process occupies, MB: `Rss` counts shared pages whole, `Pss` by how many processes map them."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines}


def task(reference: Path, share: bool, barrier: Barrier, number: int, out: "Queue[tuple[float, ...]]") -> None:
    import bwa_mem3

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        barrier.wait()
        begin = time.perf_counter()
        with index_prefix(reference, "bench", scratch, scratch / "log", share=share) as prefix:
            with stderr_to(scratch / "log"):
                index = bwa_mem3.BwaIndex(str(prefix))
                started = time.perf_counter() - begin
                bwa_mem3.align_batch(index, bwa_mem3.MemOpts(), cut_pairs(reference, number))
            barrier.wait()
            now = memory()
            out.put((started, now["Rss"], now["Pss"]))
            barrier.wait()


def cut_pairs(reference: Path, seed: int) -> list[object]:
    """Error-free pairs from places all over the first contig."""
    import bwa_mem3

    contig = read_dict(reference.with_name(reference.name + ".dict"))[0]
    with reference.open("rb") as source:
        source.readline()
        letters = source.read(contig.length).replace(b"\n", b"")
    starts = np.random.default_rng(seed).integers(0, len(letters) - FRAGMENT_BP, PAIRS)
    quality = b"I" * READ_BP
    pairs: list[object] = []
    for n, start in enumerate(starts.tolist()):
        second = letters[start + FRAGMENT_BP - READ_BP : start + FRAGMENT_BP].translate(COMPLEMENT)[::-1]
        first = letters[start : start + READ_BP]
        pairs.append(bwa_mem3.ReadPair(b"r%d" % n, first, b"r%d" % n, second, quality, quality))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--tasks", type=int, default=2)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    print(f"{'':24}{'start s':>18}{'Rss MB':>18}{'Pss MB':>18}{'all Pss MB':>12}")
    try:
        for name, share in (("own copies", False), ("shared, first tasks", True), ("shared, later tasks", True)):
            barrier, out = spawn.Barrier(options.tasks), spawn.Queue()
            tasks = [
                spawn.Process(target=task, args=(options.reference.absolute(), share, barrier, number, out))
                for number in range(options.tasks)
            ]
            for one in tasks:
                one.start()
            found = [out.get() for _ in tasks]
            for one in tasks:
                one.join()
            columns = [" ".join(f"{row[k]:8.{digits}f}" for row in found) for k, digits in ((0, 2), (1, 0), (2, 0))]
            print(f"{name:24}" + "".join(f"{column:>18}" for column in columns) + f"{sum(r[2] for r in found):12,.0f}")
    finally:
        drop_unused()


if __name__ == "__main__":
    main()
