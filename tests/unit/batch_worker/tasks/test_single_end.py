"""Samples of single-end reads, alone and beside pairs: real ingest, split and tasks from the drop to the report."""

import gzip
import json
from pathlib import Path

import pysam
import pytest

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared import naming
from shared.domain.markers import GatheredMarker
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.reference import Assembly
from shared.domain.work import AlignWork, CallWork, ChunkKey, Stage, Step, StepWork, Work
from shared.naming import Container, Result
from shared.steps.deliver import quality_of
from shared.steps.ingest import ingest
from shared.steps.split import split_read_group
from tests.fakes import World
from tests.in_process import result, run_works
from tests.simulate import make_world
from tests.unit.batch_worker.engine.test_duplicates import duplicates, marked_as_they_lie
from tests.unit.batch_worker.engine.test_single_reads import singles_of

RUN = "run1"
TEMPLATE = {
    "patient_system": "urn:example:mrn",
    "test": {"code": "demo", "display": "Demo"},
    "reference": "demo",
}
SHEET = """\
patient,sample,lane,fastq_1,fastq_2
P1,MIXED,1,MIXED_L1_R1.fastq.gz,MIXED_L1_R2.fastq.gz
P1,MIXED,2,MIXED_L2.fastq.gz,
P2,SINGLE,1,SINGLE.fastq.gz,
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("single")


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    (folder / "genome.fa").write_bytes(make_world().fasta())
    make_bundle("demo", Assembly.OTHER, BundleSources(folder / "genome.fa"), folder / "bundle", lambda _: None)
    return folder / "bundle"


def mate(text: bytes, number: int) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join(line for at in range(4 * (number - 1), len(lines), 8) for line in lines[at : at + 4])


def analyse(bundle: Path, folder: Path, *, shard_bp: int, chunk_pairs: int) -> tuple[World, dict[str, Plan]]:
    world, reads = World(), make_world(pairs=700).read_groups
    install_bundle(bundle, world.blobs)
    files = {
        "MIXED_L1_R1.fastq.gz": mate(reads["L1"], 1),
        "MIXED_L1_R2.fastq.gz": mate(reads["L1"], 2),
        "MIXED_L2.fastq.gz": singles_of(reads["L2"]),
        "SINGLE.fastq.gz": b"".join(singles_of(reads["L1"]).splitlines(keepends=True)[:-4]),  # an odd number
    }
    for name, data in files.items():
        world.blobs.put(naming.landing_blob(f"{RUN}/{name}"), gzip.compress(data, mtime=0))
    world.blobs.put(naming.landing_blob(f"{RUN}/samplesheet.csv"), SHEET.encode())
    world.blobs.put(naming.order_blob(RUN), json.dumps(TEMPLATE).encode())
    layout = Layout(chunk_pairs=chunk_pairs, shard_bp=shard_bp)
    plans = {}
    for found in ingest(RUN, world.services, ResultSettings(batch_pairs=100, halo_bp=1_200), layout, lambda _: None):
        assert found.plan is not None, found
        plan = plans[found.sample] = found.plan
        work: list[Work] = []
        for group in plan.read_groups:
            split_read_group(plan, group.id, 0, world.blobs, world.clock)
            names = world.blobs.names(Container.WORK, f"{plan.analysis}/chunks/{group.id}/")
            work.extend(AlignWork(ChunkKey(group.id, number)) for number in range(len(names) - 1))
        work.extend(CallWork(shard.number) for shard in plan.shards)
        run_works(world, plan, folder, *work, StepWork(Step.GATHER), StepWork(Step.ANNOTATE), StepWork(Step.REPORT_QC))
    return world, plans


@pytest.fixture(scope="module")
def whole(bundle: Path, folder: Path) -> tuple[World, dict[str, Plan]]:
    return analyse(bundle, folder, shard_bp=10**9, chunk_pairs=10**6)


def gathered(world: World, plan: Plan) -> GatheredMarker:
    ref = naming.result_marker(plan.sample, plan.analysis, Stage.GATHERED)
    return GatheredMarker.model_validate_json(world.blobs.read(ref))


def records_of(world: World, plan: Plan, path: Path) -> list[pysam.AlignedSegment]:
    path.write_bytes(result(world, plan, Result.BAM))
    with pysam.AlignmentFile(str(path)) as bam:
        return [r for r in bam.fetch(until_eof=True) if not r.is_secondary and not r.is_supplementary]


@pytest.mark.parametrize("sample", ["MIXED", "SINGLE"])
def test_figures_count_what_the_alignments_hold(whole, tmp_path, sample):
    world, plan = whole[0], whole[1][sample]
    reads = records_of(world, plan, tmp_path / "x.bam")
    marker = gathered(world, plan)
    document = json.loads(result(world, plan, Result.QC))
    figures = {name: one["value"] for name, one in document["metrics"].items()}
    singles = [r for r in reads if not r.is_paired]
    assert marker.primary == len(reads) == 2 * marker.pairs + marker.single_reads
    assert marker.single_reads == figures["single_reads"] == len(singles)
    assert figures["read_pairs"] == marker.pairs == sum(r.is_read1 for r in reads)
    assert figures["mapped_fraction"] == round(sum(not r.is_unmapped for r in reads) / len(reads), 6)
    assert figures["duplicate_reads"] == sum(r.is_duplicate for r in reads) > 20
    if sample == "SINGLE":
        assert marker.pairs == 0
        assert marker.single_reads % 2 == 1
        assert not {"insert_size_median", "properly_paired_fraction"} & set(figures)
    else:
        proper = sum(r.is_proper_pair for r in reads)
        assert figures["properly_paired_fraction"] == round(proper / (2 * marker.pairs), 6)
        assert 200 < figures["insert_size_median"] < 300
        by_group = document["read_groups"]
        assert by_group["2"]["single_reads"]["value"] == len(singles)
        assert "single_reads" not in by_group["L1"]
        assert by_group["2"]["mapped_fraction"]["value"] <= 1
    quality = quality_of(marker, {name: (one["value"], one["unit"]) for name, one in document["metrics"].items()})
    assert quality.single_reads == marker.single_reads


@pytest.mark.parametrize("sample", ["MIXED", "SINGLE"])
def test_duplicates_are_those_of_samtools(whole, tmp_path, sample):
    world, plan = whole[0], whole[1][sample]
    records_of(world, plan, tmp_path / "x.bam")
    assert duplicates(tmp_path / "x.bam") == marked_as_they_lie(tmp_path / "x.bam", tmp_path)


@pytest.mark.thorough
def test_the_same_bytes_however_it_is_cut(whole, bundle, folder):
    world, plans = whole
    cut_world, cut_plans = analyse(bundle, folder, shard_bp=2_700, chunk_pairs=100)
    for sample, plan in plans.items():
        cut = cut_plans[sample]
        assert cut.analysis == plan.analysis
        assert len(cut.shards) > 3
        for kind in (Result.VCF, Result.GVCF, Result.QC, Result.ANNOTATED_VCF):
            assert result(cut_world, cut, kind) == result(world, plan, kind), (sample, kind)


def test_variants_of_single_end_reads_pass(whole):
    text = gzip.decompress(result(whole[0], whole[1]["SINGLE"], Result.VCF)).decode()
    passing = [line for line in text.splitlines() if "\tPASS\t" in line]
    assert len(passing) > 40
