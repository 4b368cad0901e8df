"""The chain from a drop to gathered results in this process: the real ingest, split and tasks over fake blobs."""

import gzip
from pathlib import Path
from typing import Any

from batch_worker.task import ExitStatus, TaskContext, run_task
from shared import naming
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.work import AlignWork, CallWork, ChunkKey, Step, StepWork, Work
from shared.naming import Result
from shared.steps.ingest import ingest
from shared.steps.split import split_read_group
from tests.factories import make_order
from tests.fakes import World


def drop(world: World, sample: str, lanes: dict[str, bytes], **order: Any) -> None:
    """Upload interleaved FASTQ text as each lane's R1 and R2, then the order."""
    for lane, text in lanes.items():
        lines = text.splitlines(keepends=True)
        for mate in (1, 2):
            reads = [line for at in range(4 * (mate - 1), len(lines), 8) for line in lines[at : at + 4]]
            name = f"{sample}/{sample}_{lane}_R{mate}.fastq.gz"
            world.blobs.put(naming.landing_blob(name), gzip.compress(b"".join(reads), 1, mtime=0))
    world.blobs.put(naming.order_blob(sample), make_order(sample, **order).to_json())


def run_chain(world: World, sample: str, folder: Path, *, shard_bp: int = 10**9, chunk_pairs: int = 10**6) -> Plan:
    """Run a dropped sample up to its gathered results; `folder` holds scratch and the cache of bundles."""
    settings = ResultSettings(batch_pairs=200, halo_bp=1_200)
    layout = Layout(chunk_pairs=chunk_pairs, shard_bp=shard_bp)
    (found,) = ingest(sample, world.services, settings, layout, lambda _: None)
    assert found.plan is not None, found
    plan = found.plan
    work: list[Work] = []
    for group in plan.read_groups:
        split_read_group(plan, group.id, 0, world.blobs, world.clock)
        prefix = f"{plan.analysis}/chunks/{group.id}/"
        names = world.blobs.names(naming.Container.WORK, prefix)
        work.extend(AlignWork(ChunkKey(group.id, number)) for number in range(len(names) - 1))
    work.extend(CallWork(shard.number) for shard in plan.shards)
    work.append(StepWork(Step.GATHER))
    run_works(world, plan, folder, *work)
    return plan


def run_works(world: World, plan: Plan, folder: Path, *works: Work) -> None:
    """Run tasks one after the other."""
    for name in ("scratch", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    context = TaskContext(world.blobs, 1, folder / "scratch", folder / "cache", world.clock)
    for one in works:
        assert run_task(one, plan.analysis, 0, context) is ExitStatus.DONE, one


def result(world: World, plan: Plan, kind: Result) -> bytes:
    """A result file's bytes."""
    return world.blobs.read(naming.result_blob(plan.sample, plan.analysis, kind))


def records(world: World, plan: Plan, kind: Result) -> list[list[str]]:
    """The columns of a result VCF's records."""
    text = gzip.decompress(result(world, plan, kind)).decode()
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
