"""Holding and rejecting: the EHR is told why, and nothing of a variant leaves."""

import json
from typing import Any

import pytest

from shared import naming
from shared.domain.markers import DecidedMarker, Decision, HeldMarker, RejectedMarker
from shared.domain.report_case import Laboratory
from shared.domain.thresholds import Limit, Missed
from shared.domain.work import Stage
from shared.errors import PermanentError, TransientError
from shared.naming import Container, Result
from shared.steps.deliver import deliver
from shared.steps.hold import HELD_NOTICE, REJECTED_NOTICE, hold, reject
from tests.drops import file_annotated, open_analysis
from tests.factories import make_plan
from tests.fakes import World

PLAN = make_plan()
MISSED = (Missed(figure="mean_depth", value=12.4, limit=Limit(min=30)),)
WHERE: dict[str, Any] = {"laboratory": Laboratory("Lab", "urn:example:lab"), "fhir_base": "https://fhir.example/"}


@pytest.fixture
def world() -> World:
    world = World()
    open_analysis(world, PLAN)
    file_annotated(world, PLAN, missed=MISSED)
    return world


def file_decision(world: World, decision: Decision) -> None:
    marker = DecidedMarker(
        analysis=PLAN.analysis,
        sample=PLAN.sample,
        decision=decision,
        by="qa",
        reason="Too shallow",
        decided=world.clock.now,
    )
    world.blobs.create(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.DECIDED), marker.to_json())


def reports(world: World) -> list[dict[str, Any]]:
    """The DiagnosticReport of every bundle that was posted."""
    entries = [json.loads(bundle)["entry"] for bundle in world.fhir.bundles]
    return [
        entry["resource"]
        for bundle in entries
        for entry in bundle
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    ]


def marker_bytes(world: World, stage: Stage) -> bytes | None:
    return world.blobs.find(naming.result_marker(PLAN.sample, PLAN.analysis, stage))


def test_a_held_sample_is_told_to_the_ehr_and_the_subscribers_and_not_to_the_lakes_tables(world: World) -> None:
    hold(PLAN, world.services, **WHERE)
    (report,) = reports(world)
    assert report["status"] == "registered"
    assert "mean depth (reads per base) is 12.4; at least 30 is required" in report["conclusion"]
    assert {table for table, _ in world.lake.tables} == {"qc"}
    (notice,) = world.publisher.notices
    assert (notice.type, notice.id) == (HELD_NOTICE, f"{PLAN.analysis}-held")
    assert notice.data == {"analysis": PLAN.analysis, "missed": ["mean_depth"]}
    assert world.tasks.finished == {naming.job_id(PLAN.analysis): "held"}
    marker = HeldMarker.model_validate_json(marker_bytes(world, Stage.HELD) or b"")
    assert [output.name.rpartition(".held.")[2] for output in marker.outputs] == ["report.html", "fhir.json"]
    assert world.blobs.find(naming.result_blob(PLAN.sample, PLAN.analysis, Result.REPORT)) is None


def test_a_rejection_replaces_the_held_report_and_leaves_no_row_of_a_variant(world: World) -> None:
    hold(PLAN, world.services, **WHERE)
    file_decision(world, Decision.REJECTED)
    reject(PLAN, world.services, **WHERE)
    held, cancelled = reports(world)
    assert cancelled["id"] == held["id"]
    assert cancelled["status"] == "cancelled"
    assert "Rejected by qa" in cancelled["conclusion"]
    assert {table for table, _ in world.lake.tables} == {"qc"}
    assert [notice.type for notice in world.publisher.notices] == [HELD_NOTICE, REJECTED_NOTICE]
    assert "Too shallow" not in str(world.publisher.notices)  # a reason is free text
    RejectedMarker.model_validate_json(marker_bytes(world, Stage.REJECTED) or b"")
    page = world.blobs.read(naming.result_blob(PLAN.sample, PLAN.analysis, Result.REPORT)).decode()
    assert "Rejected" in page


@pytest.mark.parametrize(("step", "decision"), [(hold, None), (reject, Decision.REJECTED)])
def test_doing_it_again_posts_the_same_bytes(world: World, step: Any, decision: Decision | None) -> None:
    if decision:
        file_decision(world, decision)
    for _ in range(2):
        world.clock.sleep(60)
        step(PLAN, world.services, **WHERE)
    first, second = world.fhir.bundles
    assert first == second


@pytest.mark.parametrize("part", ["fhir", "publisher"])
def test_a_service_that_is_away_leaves_no_marker(world: World, part: str) -> None:
    getattr(world, part).is_up = False
    with pytest.raises(TransientError):
        hold(PLAN, world.services, **WHERE)
    assert marker_bytes(world, Stage.HELD) is None


def test_nothing_is_held_that_is_not_flagged_and_nothing_rejected_that_was_not(world: World) -> None:
    for decision in (None, Decision.RELEASED):
        if decision:
            file_decision(world, decision)
        with pytest.raises(PermanentError, match="was not rejected"):
            reject(PLAN, world.services, **WHERE)
    world.blobs.remove(naming.result_marker(PLAN.sample, PLAN.analysis, Stage.FLAGGED))
    with pytest.raises(TransientError, match="is not flagged"):
        hold(PLAN, world.services, **WHERE)
    assert world.fhir.bundles == []


def test_delivering_looks_for_itself_whether_a_flagged_sample_was_released(world: World) -> None:
    before = world.blobs.names(Container.RESULTS)
    with pytest.raises(TransientError, match="is flagged and must be held"):
        deliver(PLAN, world.services, **WHERE)
    file_decision(world, Decision.REJECTED)
    with pytest.raises(PermanentError, match="was rejected; its results must not be delivered"):
        deliver(PLAN, world.services, **WHERE)
    assert set(world.blobs.names(Container.RESULTS)) - set(before) == {f"{PLAN.sample}/{PLAN.analysis}/decided.json"}
    assert (world.fhir.bundles, world.lake.tables) == ([], {})
