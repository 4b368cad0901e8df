"""An order for GATK as a node runs it: from a drop to gathered results, and a node that has no GATK."""

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest

from batch_worker.task import ExitStatus, TaskContext, run_task
from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared import naming
from shared.domain.markers import CalledMarker, FailureRecord, GatheredMarker, RecalibratedMarker
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.reference import Assembly
from shared.domain.work import AlignWork, CallWork, ChunkKey, RecalibrateWork, Stage, Step, StepWork, Work
from shared.steps.ingest import ingest
from shared.steps.split import split_read_group
from tests.drops import SAMPLE, drop_fastq, drop_order, open_analysis
from tests.factories import make_plan
from tests.fakes import World
from tests.gatk_home import gatk_or_skip
from tests.simulate import make_world

SETTINGS = ResultSettings(batch_pairs=200, gatk_shard_bp=10**6)
LAYOUT = Layout(chunk_pairs=400, shard_bp=3_000)


def context(world: World, folder: Path, gatk_home: Path) -> TaskContext:
    return TaskContext(world.blobs, 1, folder, folder / "cache", world.clock, gatk_home=gatk_home)


@pytest.mark.parametrize("work", [RecalibrateWork(0), CallWork(0)])
def test_a_node_without_gatk_fails_the_analysis_and_says_what_is_missing(work: Work, tmp_path: Path) -> None:
    world = World()
    plan = make_plan(options={"caller": "gatk"})
    open_analysis(world, plan)
    done = run_task(work, plan.analysis, 0, context(world, tmp_path, tmp_path / "nowhere"))
    assert done == ExitStatus.BAD_DATA
    record = FailureRecord.model_validate_json(world.blobs.read(naming.failure_record(plan.analysis, work, 0)))
    assert "this node has no GATK" in record.message
    assert "GATK_HOME" in record.message


def planned(world: World, folder: Path) -> Plan:
    """A small drop with an order for GATK, ingested and split."""
    simulated = make_world(pairs=500)
    (folder / "genome.fa").write_bytes(simulated.fasta())
    sites = "".join(
        f"chrA\t{pos}\t.\t{simulated.contigs['chrA'][pos - 1]}\tN\t.\t.\t.\n" for pos in range(100, 900, 100)
    )
    (folder / "known.vcf").write_text(f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{sites}")
    sources = BundleSources(folder / "genome.fa", known_sites=(folder / "known.vcf",))
    make_bundle("demo", Assembly.OTHER, sources, folder / "bundle")
    install_bundle(folder / "bundle", world.blobs)
    lines = simulated.read_groups["L1"].splitlines(keepends=True)
    for mate in (1, 2):
        text = b"".join(b"".join(lines[at : at + 4]) for at in range(4 * (mate - 1), len(lines), 8))
        drop_fastq(world.blobs, "L1", mate, data=gzip.compress(text, mtime=0))
    drop_order(world.blobs, "L1", options={"caller": "gatk"})
    (drop,) = ingest(SAMPLE, world.services, SETTINGS, LAYOUT, lambda _: None)
    plan = drop.plan
    assert plan is not None
    for group in plan.read_groups:
        split_read_group(plan, group.id, 0, world.blobs, world.clock)
    return plan


@pytest.mark.thorough
def test_an_order_for_gatk_goes_from_the_drop_to_gathered_results(tmp_path: Path) -> None:
    gatk = gatk_or_skip()
    world = World()
    world.clock.tick = timedelta(milliseconds=1)
    plan = planned(world, tmp_path)
    assert len(plan.shards) == 1, "the layout's shards are the other caller's"
    node = context(world, tmp_path, gatk.home)
    chunks = list(world.blobs.names(naming.Container.WORK, f"{plan.analysis}/chunks/L1/0"))
    works: list[Work] = [AlignWork(ChunkKey("L1", number)) for number in range(len(chunks))]
    works += [RecalibrateWork(0), CallWork(0), StepWork(Step.GATHER)]
    for work in works:
        assert run_task(work, plan.analysis, 0, node) == ExitStatus.DONE, work
    read = world.blobs.read
    recalibrated = RecalibratedMarker.model_validate_json(read(naming.recalibrated_marker(plan.analysis, 0)))
    called = CalledMarker.model_validate_json(read(naming.called_marker(plan.analysis, 0)))
    gathered = GatheredMarker.model_validate_json(
        read(naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED))
    )
    assert recalibrated.records == called.records > 500
    assert gathered.variants == called.variants > 10
    assert gathered.tools["GATK"] == called.tools["GATK"] == recalibrated.tools["GATK"] == gatk.version
    qc = json.loads(read(naming.result_blob(plan.sample, plan.analysis, naming.Result.QC)))
    assert qc["metrics"]["read_pairs"]["value"] == gathered.pairs
