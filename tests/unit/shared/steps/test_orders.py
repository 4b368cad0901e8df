"""Orders over HTTP: filed where an uploaded order lies, once."""

import json

import pytest

from shared import naming
from shared.domain.order import Order
from shared.errors import PermanentError
from shared.naming import Container
from shared.steps.ingest import ingest
from shared.steps.orders import OrderConflictError, Taken, take_order
from tests.drops import SAMPLE, drop_fastq, drop_order, install_bundle
from tests.factories import make_order
from tests.fakes import World
from tests.landing import LAYOUT, SETTINGS


@pytest.fixture
def world() -> World:
    world = World()
    install_bundle(world.blobs)
    return world


def test_an_order_is_filed_and_begins_the_same_analysis_as_an_uploaded_one(world: World) -> None:
    analyses = []
    for way in ("upload", "http"):
        here = World()
        install_bundle(here.blobs)
        for mate in (1, 2):
            drop_fastq(here.blobs, "L1", mate)
        if way == "http":
            take_order(make_order().to_json(), here.services)
        else:
            drop_order(here.blobs)
        (drop,) = ingest(SAMPLE, here.services, SETTINGS, LAYOUT, lambda _: None)
        assert drop.plan is not None
        analyses.append(drop.plan.analysis)
    assert analyses[0] == analyses[1]


def test_the_same_order_again_in_any_spelling_writes_nothing(world: World) -> None:
    order = make_order()
    assert take_order(order.to_json(), world.services)[1] is Taken.CREATED
    before = list(world.blobs.events)
    spelled = json.dumps({"options": {"caller": "bcftools"}, **json.loads(order.to_json())}).encode()
    assert take_order(spelled, world.services)[1] is Taken.UNCHANGED
    assert world.blobs.events == before


def test_another_order_is_a_conflict_unless_it_is_to_replace(world: World) -> None:
    take_order(make_order().to_json(), world.services)
    other = make_order(test={"code": "x", "display": "X"})
    with pytest.raises(OrderConflictError, match=r"is another order\. Send it with `\?replace=true`"):
        take_order(other.to_json(), world.services)
    assert take_order(other.to_json(), world.services, replace=True)[1] is Taken.REPLACED
    assert Order.model_validate_json(world.blobs.read(naming.order_blob(SAMPLE))) == other


def test_an_order_that_lies_there_and_cannot_be_read_is_a_conflict(world: World) -> None:
    world.blobs.put(naming.order_blob(SAMPLE), b"{")
    with pytest.raises(OrderConflictError):
        take_order(make_order().to_json(), world.services)


def test_a_runs_folder_takes_no_order_of_a_sample(world: World) -> None:
    world.blobs.put(naming.landing_blob(f"{SAMPLE}/SampleSheet.csv"), b"[Header]")
    with pytest.raises(OrderConflictError, match=r"SampleSheet\.csv makes landing/NA00001/ the folder of a run"):
        take_order(make_order().to_json(), world.services, replace=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", r"landing/SAMPLE/order\.json is not JSON"),
        (b"[]", "is not a valid order: order: Input should be"),
        (b'{"sample": "../x"}', r"landing/SAMPLE/order\.json is not a valid order: sample: String should match"),
        (b" " * (1024**2 + 1), "an order has at most 1,048,576"),
        (make_order(reference="grch38").to_json(), r"'grch38' is not installed \(installed: demo\)"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused_and_nothing_is_written(
    world: World, body: bytes, message: str
) -> None:
    with pytest.raises(PermanentError, match=message):
        take_order(body, world.services)
    assert world.blobs.names(Container.LANDING) == []
