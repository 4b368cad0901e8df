"""The chain's split on real storage (Azurite): CPU, memory and bytes, with the reads left in place and copied.

usage: bench_split_storage.py [--gigabytes 0.01 2] [--copied-gigabytes 0.5]

R1 and R2 of so much FASTQ text together are made from simulated reads (gzip of several members, as sequencers do) and
uploaded. Then, each in a fresh process, the split's own step runs over the storage adapter, and the reads of all chunks
are read as their alignment reads them. CPU seconds are user + system of that process; Azurite's own are not counted.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from bench_split import peak_mb, simulated

from batch_worker.engine.chunk_reads import read_batches
from shared import naming
from shared.adapters.blobs import AzureBlobs
from shared.domain.markers import ChunkMarker
from shared.domain.plan import Plan
from shared.domain.reads import InputFile, ReadGroup
from shared.naming import Container
from shared.steps import split
from shared.steps.chunk_reads import open_in_landing
from tests.contract.node_fixtures import running_azurite
from tests.factories import make_plan

GROUP = "L1"
CHUNK_PAIRS = 240_000
BATCH_PAIRS = 20_000


def upload(blobs: AzureBlobs, originals: list[Path], name: str, copies: int) -> Plan:
    """Put a read group of so many copies of the files into landing; a plan for it."""
    files = []
    for mate, path in enumerate(originals, 1):
        ref = naming.landing_blob(f"{name}/{name}_{GROUP}_R{mate}.fastq.gz")
        data = path.read_bytes()
        with blobs.writer(ref) as stream:
            for _ in range(copies):
                stream.write(data)
        facts = blobs.facts(ref)
        assert facts is not None
        files.append(InputFile(name=ref.name, size=facts.size, content=facts.content))
    group = ReadGroup(id=GROUP, r1=files[0], r2=files[1], library=name, platform_unit=name)
    return make_plan(chunk_pairs=CHUNK_PAIRS, content=name).model_copy(update={"read_groups": (group,)})


def chunk_markers(plan: Plan, blobs: AzureBlobs) -> Iterator[ChunkMarker]:
    for facts in blobs.list(Container.WORK, f"{naming.analysis_folder(plan.analysis)}chunks/{GROUP}/0"):
        yield ChunkMarker.model_validate_json(blobs.read(facts.ref))


def read_chunks(plan: Plan, blobs: AzureBlobs) -> None:
    """Read all chunks in batches, as their alignment does."""
    for marker in chunk_markers(plan, blobs):
        if marker.is_in_landing:
            with open_in_landing(plan, marker, blobs) as stream:
                pairs = sum(len(batch.names) for batch in read_batches(stream, "chunk", BATCH_PAIRS))
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "reads.fastq.gz"
                blobs.download(marker.outputs[0], path)
                pairs = sum(len(batch.names) for batch in read_batches(path, "chunk", BATCH_PAIRS))
        assert pairs == marker.pairs, (pairs, marker.pairs)


def run_step(step: str, connection: str, plan: Plan) -> None:
    blobs = AzureBlobs.connect(connection)
    if step == "copy":
        split._is_near = lambda _: False  # type: ignore[assignment]
    before, began = sum(os.times()[:4]), time.monotonic()
    if step == "read":
        read_chunks(plan, blobs)
    else:
        split.split_read_group(plan, GROUP, 0, blobs, lambda: datetime.now(UTC))
    cpu, wall = sum(os.times()[:4]) - before, time.monotonic() - began
    print(json.dumps({"cpu": cpu, "wall": wall, "memory": peak_mb()}))


def measure(step: str, connection: str, plan: Plan, folder: Path) -> dict[str, float]:
    path = folder / "plan.json"
    path.write_bytes(plan.to_json())
    argv = [sys.executable, __file__, "--step", step, "--connection", connection, "--plan", str(path)]
    return dict(json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout))


def tell(name: str, found: dict[str, float], text: float) -> None:
    print(
        f"{name:<42}{found['cpu']:8.2f} CPU s {text / found['cpu'] / 1e6:6.0f} MB/s {found['wall']:8.1f} s wall"
        f"{found['memory']:7.0f} MB memory",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", nargs="*", type=float, default=[0.01, 2])
    parser.add_argument("--copied-gigabytes", type=float, default=0.5)
    parser.add_argument("--step", choices=["split", "copy", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--connection", help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        run_step(args.step, args.connection, Plan.model_validate_json(args.plan.read_bytes()))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = simulated(folder)
        size = 2 * len(gzip.decompress(originals[0].read_bytes()))
        state = folder / "azurite"
        state.mkdir()
        with running_azurite(state) as azurite:
            connection = azurite.connection_string
            blobs = AzureBlobs.connect(connection)
            for container in naming.DATA_CONTAINERS:
                blobs._service.create_container(container)
            for gigabytes in args.gigabytes:
                copies = max(1, round(gigabytes * 1e9 / size))
                if gigabytes * 1e9 < size / 2:
                    small = [folder / f"small_R{mate}.fastq.gz" for mate in (1, 2)]
                    for path, target in zip(originals, small, strict=True):
                        lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
                        count = int(gigabytes * 1e9 / size * len(lines)) // 4 * 4
                        target.write_bytes(gzip.compress(b"".join(lines[:count]), 6))
                plan = upload(blobs, small if gigabytes * 1e9 < size / 2 else originals, f"NA{copies}", copies)
                text = gigabytes * 1e9 if gigabytes * 1e9 < size / 2 else copies * size
                print(f"\n{text / 1e6:,.0f} MB of text in {plan.input_bytes / 1e6:,.0f} MB of files", flush=True)
                tell("split, reads left in landing", measure("split", connection, plan, folder), text)
                tell("all chunks read for alignment", measure("read", connection, plan, folder), text)
            if args.copied_gigabytes:
                copies = max(1, round(args.copied_gigabytes * 1e9 / size))
                text = copies * size
                print(f"\n{text / 1e6:,.0f} MB of text, both ways", flush=True)
                for kind in ("copy", "split"):
                    plan = upload(blobs, originals, f"NB{kind}", copies)
                    tell(f"split, {kind}", measure(kind, connection, plan, folder), text)
                    tell(f"read for alignment, {kind}", measure("read", connection, plan, folder), text)
                    below = naming.data_folder(plan.analysis)
                    written = sum(facts.size for facts in blobs.list(Container.WORK, below))
                    print(f"  files {plan.input_bytes / 1e6:,.1f} MB, written by the split {written / 1e6:,.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
