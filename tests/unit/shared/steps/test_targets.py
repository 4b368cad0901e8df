"""Targets: the order's own, or its test's; frozen with the plan, waited for or refused."""

import json
from datetime import timedelta

import pytest

from shared import naming
from shared.domain.genome import Interval
from shared.domain.ids import AnalysisId
from shared.domain.plan import Layout, ResultSettings
from shared.domain.thresholds import Limit
from shared.errors import PermanentError, TransientError
from shared.naming import Container
from shared.steps.ingest import Drop, ingest, look_at_folder
from shared.steps.panels import install_definition
from shared.steps.targets import read_targets
from tests.drops import SAMPLE, drop_fastq, drop_order, install_bundle
from tests.fakes import World

SETTINGS = ResultSettings(batch_pairs=10)
LAYOUT = Layout(chunk_pairs=20, shard_bp=500)
BED = naming.landing_blob(f"{SAMPLE}/panel.bed")


@pytest.fixture
def world() -> World:
    world = World()
    world.clock.tick = timedelta(seconds=1)
    install_bundle(world.blobs)
    for mate in (1, 2):
        drop_fastq(world.blobs, "L1", mate)
    return world


def look(world: World) -> Drop:
    told: list[AnalysisId] = []
    (drop,) = ingest(SAMPLE, world.services, SETTINGS, LAYOUT, told.append)
    return drop


def order(world: World, **fields) -> None:
    drop_order(world.blobs, "L1", **fields)


def panel(world: World, tmp_path, code: str = "demo-panel", bed: str = "chr1\t100\t200\n", **fields) -> None:
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "panel.bed").write_text(bed)
    (tmp_path / "definition.json").write_text(json.dumps({"code": code, "targets": "panel.bed", **fields}))
    install_definition(tmp_path, world.blobs)


def test_without_targets_the_whole_genome_is_called(world):
    order(world)
    drop = look(world)
    assert drop.plan is not None
    assert drop.plan.targets is None
    assert read_targets(drop.plan, world.blobs) is None


def test_an_order_waits_for_the_targets_that_it_names(world):
    order(world, options={"targets": "panel.bed", "padding_bp": 10})
    drop = look(world)
    assert (drop.plan, drop.refused) == (None, "")
    assert drop.missing == (BED.name,)
    assert "panel.bed" in drop.waiting
    world.blobs.put(BED, b"chr2\t50\t60\nchr1\t100\t200\nchr1\t215\t220\r\nchr1\t995\t1000\n")
    plan = look(world).plan
    assert plan is not None
    assert plan.targets is not None
    assert (plan.targets.intervals, plan.targets.padding_bp, plan.targets.length_bp) == (3, 10, 140 + 15 + 30)
    assert plan.targets.source == str(BED)
    assert world.blobs.read(naming.targets_data(plan.analysis)) == b"chr1\t90\t230\nchr1\t985\t1000\nchr2\t40\t70\n"
    assert read_targets(plan, world.blobs) == (
        Interval("chr1", 90, 230),
        Interval("chr1", 985, 1_000),
        Interval("chr2", 40, 70),
    )


def test_looking_freezes_nothing(world, tmp_path):
    panel(world, tmp_path)
    order(world)
    before = world.blobs.names(Container.WORK)
    assert look_at_folder(SAMPLE, world.services, SETTINGS, LAYOUT)[0].plan is not None
    assert world.blobs.names(Container.WORK) == before


def test_other_targets_are_another_analysis_and_the_same_ones_are_not(world):
    order(world, options={"targets": "panel.bed"})
    world.blobs.put(BED, b"chr1\t100\t200\n")
    first = look(world).plan
    world.blobs.put(BED, b"#the same\nchr1\t150\t200\nchr1\t100\t150\n")
    same = look(world).plan
    world.blobs.put(BED, b"chr1\t100\t201\n")
    other = look(world).plan
    assert first is not None
    assert same is not None
    assert other is not None
    assert first.analysis == same.analysis != other.analysis


def test_a_wrong_bed_is_refused_with_its_line_and_a_corrected_one_is_analysed(world):
    order(world, options={"targets": "panel.bed"})
    world.blobs.put(BED, b"chr1\t100\t200\nchrUn\t1\t2\n")
    refused = look(world)
    assert "landing/NA00001/panel.bed, line 2: the reference bundle has no contig 'chrUn'" in refused.refused
    world.blobs.put(BED, b"chr1\t100\t200\n1\t1\t2\n")
    again = look(world)
    assert again.is_news
    assert "contig '1' is called 'chr1'" in again.refused
    world.blobs.put(BED, b"chr1\t100\t200\n")
    assert look(world).plan is not None


def test_a_bed_too_large_for_memory_is_refused_unread(world, monkeypatch):
    monkeypatch.setattr("shared.steps.targets.MAX_BED_BYTES", 10)
    order(world, options={"targets": "panel.bed"})
    world.blobs.put(BED, b"chr1\t100\t200\n")
    assert "has 13 bytes; a BED file may have 10" in look(world).refused


def test_the_tests_definition_gives_targets_padding_and_limits(world, tmp_path):
    panel(world, tmp_path, padding_bp=20, qc={"mean_depth": {"min": 30}, "fraction_20x": {"min": 0.9}})
    order(world, qc={"mean_depth": {"min": 50}})
    plan = look(world).plan
    assert plan is not None
    assert plan.targets is not None
    assert (plan.targets.padding_bp, plan.targets.length_bp) == (20, 140)
    assert plan.limits == {"mean_depth": Limit(min=50), "fraction_20x": Limit(min=0.9)}


def test_the_orders_own_targets_go_before_the_tests(world, tmp_path):
    panel(world, tmp_path, padding_bp=20)
    order(world, options={"targets": "panel.bed", "padding_bp": 0})
    world.blobs.put(BED, b"chr2\t1\t2\n")
    plan = look(world).plan
    assert plan is not None
    assert read_targets(plan, world.blobs) == (Interval("chr2", 1, 2),)


def test_a_definition_that_changes_later_does_not_make_another_analysis_of_an_old_order(world, tmp_path):
    panel(world, tmp_path)
    order(world)
    first = look(world).plan
    panel(world, tmp_path, bed="chr1\t100\t300\n")
    assert look(world).plan == first
    order(world)  # uploaded again: it asks for the test as it is now
    again = look(world).plan
    assert first is not None
    assert again is not None
    assert again.targets is not None
    assert (again.analysis != first.analysis, again.targets.length_bp) == (True, 200)


def test_a_definitions_bed_that_is_not_there_is_a_refusal(world, tmp_path):
    panel(world, tmp_path)
    (name,) = [name for name in world.blobs.names(Container.REFERENCE) if name.endswith(".bed")]
    world.blobs.remove(naming.BlobRef(Container.REFERENCE, name))
    order(world)
    assert "names reference/tests/demo-panel/panel-" in look(world).refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{}", "is not a valid test definition: code: Field required"),
        (b'{"code": "other"}', "defines test 'other', not 'demo-panel'"),
        (b"[", "is not a valid test definition"),
    ],
)
def test_a_damaged_definition_is_refused(world, data, message):
    world.blobs.put(naming.definition_blob("demo-panel"), data)
    order(world)
    assert message in look(world).refused


def test_padding_without_targets_is_refused(world):
    order(world, options={"padding_bp": 5})
    assert "neither the order nor its test has targets" in look(world).refused


def test_a_code_that_no_definition_can_have_has_none(world):
    order(world, test={"code": "a/b c", "display": "x"})
    assert look(world).plan is not None


def test_the_folder_of_tests_is_no_bundle(world, tmp_path):
    panel(world, tmp_path)
    order(world, reference="unknown")
    assert "(installed: demo)" in look(world).refused


def test_targets_that_are_not_the_plans_are_not_used(world):
    order(world, options={"targets": "panel.bed"})
    world.blobs.put(BED, b"chr1\t100\t200\n")
    plan = look(world).plan
    assert plan is not None
    world.blobs.put(naming.targets_data(plan.analysis), b"chr1\t100\t201\n")
    with pytest.raises(TransientError, match="not the BED that the plan was frozen with"):
        read_targets(plan, world.blobs)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (None, "holds no definition.json"),
        ({"code": "x", "target": "a.bed"}, "target: Extra inputs are not permitted"),
        ({"code": "x", "targets": "a.bed"}, "names a.bed, which is not beside it"),
    ],
)
def test_a_definition_that_cannot_be_installed_says_why(world, tmp_path, definition, message):
    if definition is not None:
        (tmp_path / "definition.json").write_text(json.dumps(definition))
    with pytest.raises(PermanentError, match=message):
        install_definition(tmp_path, world.blobs)
