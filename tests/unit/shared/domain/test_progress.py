"""How far an analysis is, in a word."""

import dataclasses
from typing import Any

import pytest

from shared.domain.facts import Facts
from shared.domain.markers import Decision
from shared.domain.progress import progress_of
from shared.domain.work import ChunkKey, SplitWork, Stage
from tests.factories import make_failure, make_plan

PLAN = make_plan(groups=("L1", "L2"))
ALL = frozenset({ChunkKey("L1", 0), ChunkKey("L1", 1), ChunkKey("L2", 0)})
SPLITS = {"L1": 2, "L2": 1}
SHARDS = frozenset(range(len(PLAN.shards)))
FLAGGED = frozenset({Stage.FLAGGED, Stage.GATHERED, Stage.ANNOTATED})
DECIDED = FLAGGED | {Stage.HELD, Stage.DECIDED}


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ({}, "splitting"),
        ({"checkpoints": {"L1": 0, "L2": 0}}, "splitting"),
        ({"chunks": frozenset({ChunkKey("L1", 0)})}, "aligning"),  # while the split still runs
        ({"chunks": ALL, "splits": SPLITS}, "aligning"),
        ({"chunks": ALL, "splits": {"L1": 2}, "aligned": ALL}, "aligning"),  # more chunks may come
        ({"chunks": ALL, "splits": SPLITS, "aligned": ALL}, "calling"),
        ({"chunks": ALL, "splits": SPLITS, "aligned": ALL, "called": frozenset({0})}, "calling"),
        ({"chunks": ALL, "splits": SPLITS, "aligned": ALL, "called": SHARDS}, "gathering"),
        ({"results": frozenset({Stage.GATHERED})}, "annotating"),
        ({"results": frozenset({Stage.GATHERED, Stage.ANNOTATED})}, "delivering"),
        ({"results": frozenset({Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED})}, "archiving"),
        ({"results": frozenset({Stage.DELIVERED, Stage.ARCHIVED})}, "completed"),
        ({"results": frozenset({Stage.GATHERED, Stage.FAILED})}, "failed"),
        ({"results": FLAGGED}, "delivering"),  # it is about to be held
        ({"results": FLAGGED | {Stage.HELD}}, "held"),
        ({"results": DECIDED, "decision": Decision.RELEASED}, "delivering"),
        ({"results": DECIDED, "decision": Decision.REJECTED}, "rejecting"),
        ({"results": DECIDED | {Stage.REJECTED}, "decision": Decision.REJECTED}, "archiving"),
        ({"results": DECIDED | {Stage.REJECTED, Stage.ARCHIVED}, "decision": Decision.REJECTED}, "rejected"),
        ({"results": DECIDED | {Stage.DELIVERED, Stage.ARCHIVED}, "decision": Decision.RELEASED}, "completed"),
        ({"results": DECIDED | {Stage.FAILED}, "decision": Decision.RELEASED}, "failed"),
    ],
)
def test_the_stage_follows_from_the_markers(facts: dict[str, Any], stage: str) -> None:
    assert progress_of(PLAN, dataclasses.replace(Facts(), **facts)).stage == stage


def test_an_analysis_with_gatk_is_recalibrated_before_it_is_called() -> None:
    plan = make_plan(groups=("L1", "L2"), options={"caller": "gatk"}, gatk_shard_bp=500)
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL, recalibrated=frozenset({0}))
    assert (progress_of(plan, facts).stage, progress_of(plan, facts).recalibrated) == ("recalibrating", 1)
    assert progress_of(plan, dataclasses.replace(facts, recalibrated=SHARDS)).stage == "calling"
    assert progress_of(plan, dataclasses.replace(facts, recalibrated=SHARDS, called=SHARDS)).stage == "gathering"


def test_the_total_of_chunks_is_not_known_before_the_last_split_has_ended() -> None:
    assert progress_of(PLAN, Facts(chunks=ALL, splits={"L1": 2})).chunks_total is None
    assert progress_of(PLAN, Facts(chunks=ALL, splits=SPLITS)).chunks_total == 3


def test_the_counts_are_those_of_the_facts() -> None:
    facts = Facts(chunks=ALL, aligned=ALL, called=frozenset({1}), failures=(make_failure(PLAN, SplitWork("L1")),))
    progress = progress_of(PLAN, facts)
    assert (progress.chunks, progress.aligned, progress.called, progress.shards) == (3, 3, 1, len(SHARDS))
    assert progress.failures == 1
