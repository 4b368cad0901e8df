"""What a sample is compared with: named by the order or found among earlier results, and frozen with the plan."""

import hashlib
import re
from datetime import timedelta

import pytest

from shared import naming
from shared.domain.ids import AnalysisId
from shared.domain.plan import Layout, Plan, ResultSettings
from shared.domain.work import Stage
from shared.naming import BlobRef, Container, Result
from shared.steps.ingest import Drop, ingest
from shared.steps.known_fingerprint import MAX_BYTES
from tests.drops import SAMPLE, drop_fastq, drop_order, install_bundle
from tests.fakes import World

ARRAY = naming.landing_blob(f"{SAMPLE}/array.vcf")
VCF = (
    b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tx\n"
    b"chr1\t7\t.\tA\tG\t.\t.\t.\tGT\t0/1\n"
)


@pytest.fixture
def world() -> World:
    world = World()
    world.clock.tick = timedelta(seconds=1)
    install_bundle(world.blobs)
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate)
    return world


def look(world: World) -> Drop:
    (drop,) = ingest(SAMPLE, world.services, ResultSettings(batch_pairs=10), Layout(chunk_pairs=20), lambda _: None)
    return drop


def frozen(world: World, drop: Drop) -> Plan:
    assert drop.plan is not None, drop
    return Plan.model_validate_json(world.blobs.read(naming.plan_blob(drop.plan.analysis)))


def deliver(world: World, number: int, data: bytes | None = VCF, stage: Stage = Stage.DELIVERED) -> BlobRef:
    """An earlier analysis of the sample with its fingerprint."""
    analysis = AnalysisId(f"{number:024x}")
    ref = naming.result_blob(SAMPLE, analysis, Result.FINGERPRINT)
    if data is not None:
        world.blobs.put(ref, data)
    world.blobs.put(naming.result_marker(SAMPLE, analysis, stage), b"{}")
    return ref


def test_the_vcf_that_the_order_names_is_waited_for_and_copied(world: World) -> None:
    drop_order(world.blobs, "L1", fingerprint="array.vcf")
    waiting = look(world)
    assert (waiting.plan, waiting.missing) == (None, (ARRAY.name,))
    assert "landing/NA00001/array.vcf that the order names is not there" in waiting.waiting
    world.blobs.put(ARRAY, VCF)
    plan = frozen(world, look(world))
    assert plan.fingerprint is not None
    assert (plan.fingerprint.source, plan.fingerprint.sha256) == (str(ARRAY), hashlib.sha256(VCF).hexdigest())
    world.blobs.put(ARRAY, b"replaced")
    assert world.blobs.read(naming.known_fingerprint_data(plan.analysis, plan.fingerprint.sha256)) == VCF


def test_other_genotypes_under_the_same_name_are_another_analysis(world: World) -> None:
    drop_order(world.blobs, "L1", fingerprint="array.vcf")
    world.blobs.put(ARRAY, VCF)
    first = frozen(world, look(world))
    assert look(world).is_news is False
    world.blobs.put(ARRAY, VCF.replace(b"0/1", b"1/1"))
    assert frozen(world, look(world)).analysis != first.analysis


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"rs1,AG\n", r"array\.vcf, line 1: this is no VCF"),
        (VCF.replace(b"chr1", b"chr9"), r"no genotype of a single-base allele on a contig of reference bundle demo"),
        (b"\0" * (MAX_BYTES + 1), r"has 67,108,865 bytes; a fingerprint has at most"),
    ],
)
def test_a_named_file_that_is_no_fingerprint_refuses_the_drop(world: World, data: bytes, message: str) -> None:
    drop_order(world.blobs, "L1", fingerprint="array.vcf")
    world.blobs.put(ARRAY, data)
    drop = look(world)
    assert drop.plan is None
    assert re.search(message, drop.refused)


def test_without_one_the_newest_delivered_analysis_of_the_sample_is_taken(world: World) -> None:
    deliver(world, 3, b"older")
    newest = deliver(world, 1)
    deliver(world, 2, None)  # its bundle had no common sites
    deliver(world, 5, stage=Stage.GATHERED)  # never released
    deliver(world, 4, stage=Stage.FAILED)
    drop_order(world.blobs, "L1")
    plan = frozen(world, look(world))
    assert plan.fingerprint is not None
    assert plan.fingerprint.source == str(newest)


def test_what_is_found_stays_as_it_was_when_the_plan_was_made_and_does_not_change_the_id(world: World) -> None:
    drop_order(world.blobs, "L1")
    first = frozen(world, look(world))
    assert first.fingerprint is None
    deliver(world, 1)
    again = look(world)
    assert again.is_news is False
    assert again.plan is not None
    assert again.plan.analysis == first.analysis
    assert frozen(world, again).fingerprint is None
    # The analysis's own results are no earlier ones.
    world.blobs.delete(Container.RESULTS, "")
    deliver(world, int(first.analysis, 16))
    world.blobs.remove(naming.plan_blob(first.analysis))
    assert frozen(world, look(world)).fingerprint is None
