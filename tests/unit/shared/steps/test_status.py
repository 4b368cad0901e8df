"""What people ask: how far analyses are, what drops wait for, whether the services answer."""

import json

import pytest

from shared import naming
from shared.domain.markers import Decision, FailedMarker
from shared.domain.plan import Layout, ResultSettings
from shared.domain.thresholds import Limit, Missed
from shared.domain.work import SplitWork, Stage
from shared.errors import TransientError
from shared.steps.decide import DecisionRequest, decide
from shared.steps.status import analysis_status, check_services, list_drops, list_statuses
from tests.drops import SAMPLE, drop_fastq, drop_order, file_aligned, file_annotated, install_bundle, open_analysis
from tests.factories import NOON, make_failure, make_plan
from tests.fakes import World

PLAN = make_plan(groups=("L1", "L2"))
SETTINGS = ResultSettings(batch_pairs=10)
LAYOUT = Layout(chunk_pairs=20, shard_bp=500)


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    return world


def test_every_planned_analysis_is_listed_with_its_stage_and_counts(world: World) -> None:
    other = make_plan(sample="NA00002")
    open_analysis(world, other)
    file_aligned(world, PLAN, "L1", 2)
    statuses = {status["analysis"]: status for status in list_statuses(world.blobs)}
    assert set(statuses) == {PLAN.analysis, other.analysis}
    assert statuses[PLAN.analysis] == {
        "analysis": PLAN.analysis,
        "sample": SAMPLE,
        "received": NOON.isoformat(),
        "stage": "aligning",
        "chunks": 2,
        "chunks_total": None,
        "aligned": 2,
        "recalibrated": 0,
        "called": 0,
        "shards": len(PLAN.shards),
        "failures": 0,
    }
    assert statuses[other.analysis]["stage"] == "splitting"


def test_a_folder_without_a_plan_is_not_listed(world: World) -> None:
    world.blobs.put(naming.called_marker(make_plan(content="b").analysis, 0), b"{}")
    assert [status["analysis"] for status in list_statuses(world.blobs)] == [PLAN.analysis]


def test_one_analysis_tells_its_failures_and_results_and_is_json(world: World) -> None:
    record = make_failure(PLAN, SplitWork("L1"))
    world.blobs.create(naming.failure_record(PLAN.analysis, SplitWork("L1"), 0), record.to_json())
    failed = FailedMarker(analysis=PLAN.analysis, sample=SAMPLE, work="split-L1", message="R2 ends early", failed=NOON)
    world.blobs.create(naming.result_marker(SAMPLE, PLAN.analysis, Stage.FAILED), failed.to_json())
    status = analysis_status(PLAN.analysis, world.blobs)
    assert status is not None
    assert status["stage"] == "failed"
    assert status["failed"] == "R2 ends early"
    assert status["attempts_failed"] == [{"work": "split-L1", "attempt": 0, "kind": "transient", "message": "it broke"}]
    assert status["results"] == [f"results/{SAMPLE}/{PLAN.analysis}/failed.json"]
    assert status["read_groups"] == ["L1", "L2"]
    assert (status["folder"], status["follows"]) == (SAMPLE, None)
    assert json.loads(json.dumps(status)) == status
    assert "P1" not in json.dumps(status)  # the patient stays in the order


def test_a_held_analysis_tells_what_it_missed_and_then_what_was_decided(world: World) -> None:
    file_annotated(world, PLAN, missed=(Missed(figure="mean_depth", value=12.4, limit=Limit(min=30)),))
    world.blobs.create(naming.result_marker(SAMPLE, PLAN.analysis, Stage.HELD), b"{}")
    status = analysis_status(PLAN.analysis, world.blobs)
    assert status is not None
    assert (status["stage"], status["decision"]) == ("held", None)
    assert status["missed_limits"] == ["The mean depth (reads per base) is 12.4; at least 30 is required."]
    request = DecisionRequest(by="qa", reason="Too shallow")
    decide(PLAN.analysis, request, Decision.REJECTED, world.blobs, world.clock)
    status = analysis_status(PLAN.analysis, world.blobs)
    assert status is not None
    assert status["stage"] == "rejecting"
    assert status["decision"] == {
        "decision": "rejected",
        "by": "qa",
        "reason": "Too shallow",
        "decided": NOON.isoformat(),
    }


@pytest.mark.parametrize("name", ["", "x", "0" * 24, "../landing", "open", "0" * 23])
def test_an_id_of_no_analysis_has_no_status(world: World, name: str) -> None:
    assert analysis_status(name, world.blobs) is None


def test_drops_are_complete_waiting_or_refused_with_the_reason(world: World) -> None:
    install_bundle(world.blobs)
    for sample, lanes in (("A", (1, 2)), ("B", (1,))):
        for mate in lanes:
            drop_fastq(world.blobs, "L1", mate, sample=sample)
        drop_order(world.blobs, "L1", sample=sample)
    world.blobs.put(naming.order_blob("C"), b"{")
    world.blobs.put(naming.landing_blob("loose.fastq.gz"), b"x")
    drops = {drop["sample"]: drop for drop in list_drops(world.services, SETTINGS, LAYOUT)}
    assert {sample: drop["state"] for sample, drop in drops.items()} == {
        "A": "complete",
        "B": "waiting",
        "C": "refused",
    }
    assert drops["A"]["analysis"]
    assert drops["B"]["missing"] == ["B/B_L1_R2.fastq.gz"]
    assert "is not JSON" in drops["C"]["reason"]
    (only,) = list_drops(world.services, SETTINGS, LAYOUT, folder="B")
    assert only == drops["B"]


def test_one_folder_with_names_that_cannot_be_paired_does_not_hide_the_others(world: World) -> None:
    for suffix in ("_R1.fq", "_R1_001.fq"):
        world.blobs.put(naming.landing_blob(f"A/A_L1{suffix}"), suffix.encode())
    drop_fastq(world.blobs, "L1", 1, sample="B")
    assert [drop["state"] for drop in list_drops(world.services, SETTINGS, LAYOUT)] == ["waiting", "waiting"]


def test_a_file_that_is_being_replaced_does_not_hide_the_other_drops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_bundle(world.blobs)
    for sample in ("A", "B"):
        for mate in (1, 2):
            drop_fastq(world.blobs, "L1", mate, sample=sample)
    drop_order(world.blobs, "L1", sample="A")

    def changing(*_: object) -> bytes:
        raise TransientError("landing/A/x has changed since its folder was listed.")

    monkeypatch.setattr(world.blobs, "head", changing)
    first, second = list_drops(world.services, SETTINGS, LAYOUT)
    assert (first["state"], first["reason"]) == ("waiting", "landing/A/x has changed since its folder was listed.")
    assert second["sample"] == "B"


def test_services_that_answer_have_no_faults_and_one_that_does_not_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_services(world.services) == {}

    def away(*_: object) -> None:
        raise TransientError("Batch is away")

    monkeypatch.setattr(world.tasks, "reports", away)
    world.fhir.is_up = False
    faults = check_services(world.services)
    assert faults["batch"] == "Batch is away"
    assert "Check FHIR_URL" in faults["fhir"]
    assert set(faults) == {"batch", "fhir"}
