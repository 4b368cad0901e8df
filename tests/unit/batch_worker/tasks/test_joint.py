"""The joint task on blobs in memory: from real GVCFs to a cohort's VCF, marker last, as the engine does by hand."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
import pytest

from batch_worker.engine.align import align_chunk
from batch_worker.engine.call import CallOptions, call_shard
from batch_worker.engine.gatk import GatkOptions, call_shard_gatk
from batch_worker.engine.gatk_tools import Gatk
from batch_worker.engine.header import SamReadGroup
from batch_worker.engine.joint import JointOptions, genotype_jointly
from batch_worker.task import ExitStatus, TaskContext, run_task
from shared import naming
from shared.domain.cohort import CohortPlan, CohortSettings, JoinedMarker
from shared.domain.genome import cut_shards
from shared.domain.markers import FailureRecord, GatheredMarker
from shared.domain.plan import Layout, ResultSettings, freeze_plan
from shared.domain.reference import ReferenceManifest, Role
from shared.domain.work import JointWork, Stage
from shared.naming import Container, Result
from shared.steps.cohort import start_cohort
from shared.steps.gather_files import gather_gvcfs
from shared.steps.reference_cache import ALIGNMENT, CALLING, fetch_bundle
from tests.engine_pipeline import BATCH_PAIRS, HALO_BP
from tests.factories import NOON, make_order, make_read_group
from tests.fakes import FakeBlobs, World
from tests.gatk_home import gatk_or_skip
from tests.simulate import make_world
from tests.unit.batch_worker.tasks.conftest import Install

pytestmark = pytest.mark.thorough

COHORT = "trio"
SAMPLES = {"NA1": 1.0, "NA2": 0.7, "NA3": 0.4}
"""Samples of one genome, and how many variants each has."""


@dataclass
class Family:
    """Delivered samples in a store, and the plan of their cohort."""

    world: World
    plan: CohortPlan
    reference: Path
    folder: Path
    gvcfs: list[Path]

    def run(self, threads: int = 2, gatk_home: Path = Path("/nowhere")) -> ExitStatus:
        folder = self.folder / "scratch"
        folder.mkdir(exist_ok=True)
        context = TaskContext(
            self.world.blobs, threads, folder, self.folder / "cache", self.world.clock, gatk_home=gatk_home
        )
        return run_task(JointWork(), self.plan.analysis, 0, context)

    def output(self, result: Result) -> bytes:
        return self.world.blobs.read(naming.result_blob(COHORT, self.plan.analysis, result))


def make_gvcf(sample: str, reference: Path, folder: Path, gatk: Gatk | None, manifest: ReferenceManifest) -> Path:
    """A sample's GVCF by the real engine, in one chunk and one shard."""
    reads = make_world(variety=SAMPLES[sample]).read_groups["L1"]
    folder.mkdir(parents=True)
    (folder / "reads.fastq").write_bytes(reads)
    (shard,) = cut_shards([entry.to_contig() for entry in manifest.contigs], 10**9)
    aligned = align_chunk(
        folder / "reads.fastq",
        index_prefix=reference,
        read_group=SamReadGroup("L1", sample, "lib1", "ILLUMINA", "F1.L1"),
        shards=(shard,),
        halo_bp=HALO_BP,
        batch_pairs=BATCH_PAIRS,
        threads=1,
        out_dir=folder / "parts",
        log=folder / "log",
    )
    common: dict[str, Any] = {
        "shard": shard, "reference": reference, "halo_bp": HALO_BP, "out_dir": folder / "called",
        "log": folder / "log",
    }  # fmt: skip
    parts = [aligned.parts[0].path]
    if gatk is None:
        called = call_shard(parts, options=CallOptions(), **common)
    else:
        called = call_shard_gatk(parts, tables=[], options=GatkOptions(), gatk=gatk, **common)
    return gather_gvcfs([called.gvcf], folder / f"{sample}.g.vcf.gz").path


def with_fewer_variants(gvcf: Path, sample: str, step: int) -> Path:
    """The same GVCF as another sample's, without some variants: GATK takes seconds for each run of a tool."""
    out = gvcf.with_name(f"{sample}.g.vcf.gz")
    lines = gzip.decompress(gvcf.read_bytes()).decode().replace("\tNA1\n", f"\t{sample}\n").splitlines(keepends=True)
    variants = [at for at, line in enumerate(lines) if line[0] != "#" and line.split("\t")[4] != "<NON_REF>"]
    for at in variants[::step]:
        lines[at] = ""
    with pysam.BGZFile(str(out), "wb") as target:
        target.write("".join(lines).encode())
    pysam.tabix_index(str(out), preset="vcf", force=True)
    return out


def make_family(install: Install, folder: Path, gatk: Gatk | None = None) -> Family:
    world = World()
    install(world.blobs)
    manifest = ReferenceManifest.model_validate_json(world.blobs.read(naming.manifest_blob("demo")))
    _, bundle = fetch_bundle("demo", manifest.sha256, ALIGNMENT | CALLING, world.blobs, folder / "cache")
    reference = bundle / manifest.one(Role.FASTA).path
    gvcfs = []
    for sample in SAMPLES:
        plan = freeze_plan(
            make_order(sample, options={"caller": "gatk"} if gatk else {}),
            NOON,
            (make_read_group("L1", sample),),
            manifest,
            ResultSettings(batch_pairs=BATCH_PAIRS, halo_bp=HALO_BP),
            Layout(chunk_pairs=BATCH_PAIRS),
        )
        world.blobs.put(naming.plan_blob(plan.analysis), plan.to_json())
        if gatk is not None and gvcfs:
            gvcfs.append(with_fewer_variants(gvcfs[0], sample, len(gvcfs) + 1))
        else:
            gvcfs.append(make_gvcf(sample, reference, folder / sample, gatk, manifest))
        files = {Result.GVCF: gvcfs[-1], Result.GVCF_INDEX: Path(f"{gvcfs[-1]}.tbi")}
        outputs = tuple(
            world.blobs.upload(naming.result_blob(sample, plan.analysis, result), path)
            for result, path in files.items()
        )
        marker = GatheredMarker(
            analysis=plan.analysis, started=NOON, ended=NOON, core_seconds=0, pairs=1, primary=2, variants=0,
            outputs=outputs,
        )  # fmt: skip
        world.blobs.put(naming.result_marker(sample, plan.analysis, Stage.GATHERED), marker.to_json())
        world.blobs.put(naming.result_marker(sample, plan.analysis, Stage.DELIVERED), b"{}")
    world.blobs.put(naming.cohort_blob(COHORT), b'{"samples": ["NA2", "NA1", "NA3"]}')
    drop = start_cohort(COHORT, world.services, CohortSettings(), 4_000, lambda _: None)
    assert drop is not None
    assert drop.plan is not None, drop
    return Family(world, drop.plan, reference, folder, gvcfs)


def by_hand(family: Family, gatk: Gatk | None = None) -> bytes:
    """The engine on the same files, in one piece and one process."""
    first, second, third = family.gvcfs
    summary = genotype_jointly(
        [second, first, third],
        reference=family.reference,
        gatk=gatk,
        options=JointOptions(),
        out=family.folder / "by-hand.vcf.gz",
        log=family.folder / "log",
    )
    return summary.vcf.read_bytes()


def check(family: Family, gatk: Gatk | None = None) -> JoinedMarker:
    """Whether the results are what the engine gives by hand, and the marker tells the truth of them."""
    assert family.output(Result.VCF) == by_hand(family, gatk)
    ref = naming.result_marker(COHORT, family.plan.analysis, Stage.JOINED)
    marker = JoinedMarker.model_validate_json(family.world.blobs.read(ref))
    names = [naming.result_blob(COHORT, family.plan.analysis, result) for result in (Result.VCF, Result.VCF_INDEX)]
    assert [output.name for output in marker.outputs] == [name.name for name in names]
    assert family.world.blobs.events[-3:] == [*names, ref]
    assert marker.samples == ("NA2", "NA1", "NA3")
    text = gzip.decompress(family.output(Result.VCF)).decode().splitlines()
    rows = [line.split("\t") for line in text if line[0] != "#"]
    assert marker.records == len(rows) > 50
    assert marker.passing == sum(row[6] == "PASS" for row in rows)
    assert marker.gvcf_bytes == sum(path.stat().st_size for path in family.gvcfs)
    return marker


@pytest.fixture(scope="module")
def family(install: Install, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return make_family(install, tmp_path_factory.mktemp("family"))


def test_the_task_is_the_engine_on_the_analyses_gvcfs_whatever_the_cutting(family: Family, tmp_path: Path) -> None:
    assert len(cut_shards([entry.to_contig() for entry in family.plan.reference.contigs], family.plan.piece_bp)) == 3
    assert family.run() == ExitStatus.DONE
    check(family)
    index = tmp_path / "cohort.vcf.gz.tbi"
    index.write_bytes(family.output(Result.VCF_INDEX))
    index.with_suffix("").write_bytes(family.output(Result.VCF))
    with pysam.VariantFile(str(index.with_suffix(""))) as vcf:
        assert 0 < sum(1 for _ in vcf.fetch("chrB")) < sum(1 for _ in vcf.fetch())
    before = len(family.world.blobs.events)
    assert family.run() == ExitStatus.DONE
    assert len(family.world.blobs.events) == before, "what is done is not done again"


def test_a_torn_gvcf_is_tried_again_and_a_missing_one_fails_for_good(family: Family, tmp_path: Path) -> None:
    blobs = FakeBlobs()
    for container in (Container.WORK, Container.RESULTS, Container.REFERENCE):
        for name, data in family.world.blobs.contents(container).items():
            if not name.startswith(f"{COHORT}/"):
                blobs.put(naming.BlobRef(container, name), data)
    torn = Family(World(), family.plan, family.reference, tmp_path, family.gvcfs)
    torn.world.blobs = blobs
    member = family.plan.members[1]
    gvcf = naming.result_blob(member.sample, family.plan.analysis, Result.GVCF).name.replace(
        family.plan.analysis, member.analysis
    )
    blobs.put(naming.BlobRef(Container.RESULTS, gvcf), b"half of it")
    assert torn.run() == ExitStatus.TRY_AGAIN
    assert not blobs.names(Container.RESULTS, f"{COHORT}/")
    blobs.remove(naming.BlobRef(Container.RESULTS, gvcf))
    assert torn.run() == ExitStatus.BAD_DATA
    record = blobs.read(naming.failure_record(family.plan.analysis, JointWork(), 0))
    assert gvcf in FailureRecord.model_validate_json(record).message


def test_gvcfs_of_gatk_are_genotyped_together(install: Install, tmp_path: Path) -> None:
    gatk = gatk_or_skip()
    family = make_family(install, tmp_path, gatk)
    assert family.run(gatk_home=gatk.home) == ExitStatus.DONE
    assert check(family, gatk).tools["GATK"] == gatk.version
