"""Drops that are refused: in words a technician can act on, told once, and never in the way of others."""

import json

import pytest

from shared import naming
from shared.domain.ids import AnalysisId
from shared.domain.reference import BundleFile, Role
from shared.domain.work import Stage
from shared.naming import Container
from shared.steps.ingest import ingest
from shared.steps.landing import MAX_ORDER_BYTES
from tests.drops import SAMPLE, drop_order, install_bundle
from tests.factories import make_manifest
from tests.fakes import Killed, World
from tests.landing import LAYOUT, SETTINGS, drop_all, look, new_world, plans, refusal


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (b"{", "is not JSON: "),
        (json.dumps({"sample": SAMPLE}).encode(), "is not a valid order: patient: Field required"),
        (b" " * (MAX_ORDER_BYTES + 1), "an order has at most 1,048,576. Is it another file under this name?"),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_under_results(world: World, order: bytes, message: str) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), order)
    drop = look(world)
    marker = refusal(world)
    assert message in marker.message
    assert marker.message == drop.refused
    assert "docs/order.schema.json" in marker.message
    assert (marker.sample, marker.work, marker.analysis) == (SAMPLE, "ingest", drop.refused_id)
    assert plans(world) == []


def test_a_bundle_that_is_not_installed_is_named_with_those_that_are(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", reference="grch38")
    look(world)
    text = refusal(world).message
    assert "Reference bundle 'grch38' is not installed (installed: demo)" in text
    assert "Correct `reference` in the order, or install the bundle" in text


def test_recalibration_on_a_bundle_without_known_sites_is_refused_and_calling_without_it_is_not(world: World) -> None:
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", options={"caller": "gatk"})
    look(world)
    text = refusal(world).message
    assert "reference bundle 'demo' has no known sites" in text
    assert "`./run reference make --known-sites`" in text
    assert "set `recalibrate` to false" in text
    drop_order(world.blobs, "L1", options={"caller": "gatk", "recalibrate": False})
    assert look(world).plan is not None


def test_recalibration_on_a_bundle_with_known_sites_is_planned(world: World) -> None:
    files = (*make_manifest().files, BundleFile(path="k.vcf.gz", role=Role.KNOWN_SITES, size=1, sha256="0" * 64))
    world.blobs.put(naming.manifest_blob("demo"), make_manifest(files=files).to_json())
    drop_all(world, "L1")
    drop_order(world.blobs, "L1", options={"caller": "gatk"})
    plan = look(world).plan
    assert plan is not None
    assert plan.order.options.recalibrates


def test_a_bundle_installed_after_the_refusal_starts_the_same_drop(world: World) -> None:
    world.blobs.remove(naming.manifest_blob("demo"))
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert "(installed: none)" in look(world).refused
    install_bundle(world.blobs)
    assert look(world).plan is not None


def test_a_manifest_that_cannot_be_read_is_refused(world: World) -> None:
    world.blobs.put(naming.manifest_blob("demo"), b"{}")
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert "reference/demo/manifest.json is no valid manifest" in look(world).refused


def test_a_refusal_is_told_once_and_before_it_is_filed(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    told: list[AnalysisId] = []

    def break_down(refused: AnalysisId) -> None:
        raise Killed(refused)

    with pytest.raises(Killed):  # the topic does not answer: the next look tells
        ingest(SAMPLE, world.services, SETTINGS, LAYOUT, break_down)
    assert world.blobs.names(Container.RESULTS) == []
    for _ in range(3):
        look(world, told)
    assert told == [refusal(world).analysis]


def test_a_corrected_order_starts_after_a_refusal_and_the_refusal_stays_on_file(world: World) -> None:
    drop_all(world, "L1")
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    look(world)
    drop_order(world.blobs, "L1")
    assert look(world).plan is not None
    assert "is not JSON" in refusal(world).message


def test_another_fault_is_another_refusal(world: World) -> None:
    for data in (b"{", b"["):
        world.blobs.put(naming.order_blob(SAMPLE), data)
        look(world)
    assert len(world.blobs.names(Container.RESULTS)) == 2


def test_a_refusal_lies_where_a_failed_analysis_does(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    drop = look(world)
    assert drop.refused_id is not None
    assert world.blobs.facts(naming.result_marker(SAMPLE, drop.refused_id, Stage.FAILED)) is not None


def test_only_the_look_that_starts_or_refuses_is_news(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    assert [look(world).is_news for _ in range(2)] == [True, False]
    drop_all(world, "L1")
    drop_order(world.blobs, "L1")
    assert [look(world).is_news for _ in range(2)] == [True, False]
