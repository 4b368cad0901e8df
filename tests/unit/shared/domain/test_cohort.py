"""A cohort's order, its frozen plan, and the decision of what to do next."""

import dataclasses
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.actions import Close, RecordFailure, Stop, SubmitTask
from shared.domain.advance import RetryPolicy, is_due_after
from shared.domain.cohort import (
    MAX_SAMPLES,
    CohortOrder,
    CohortPlan,
    CohortSettings,
    advance_cohort,
    freeze_cohort,
)
from shared.domain.facts import Attempt, AttemptState, Facts
from shared.domain.markers import FailureKind, FailureRecord
from shared.domain.work import JointWork, Stage
from shared.errors import PermanentError
from tests.factories import NOON, make_plan

JOINT = JointWork()
RETRY = RetryPolicy()
PLANS = {name: make_plan(sample=name) for name in ("A", "B", "C")}


def freeze(plans: dict[str, Any] = PLANS, **changes: Any) -> CohortPlan:
    values: dict[str, Any] = {"received": NOON, "settings": CohortSettings(), "piece_bp": 1_000, **changes}
    return freeze_cohort(values.pop("cohort", "trio"), plans, **values)


PLAN = freeze()


def failure(attempt: int = 0, kind: FailureKind = FailureKind.TRANSIENT, **values: Any) -> FailureRecord:
    return FailureRecord(
        analysis=PLAN.analysis,
        work=str(JOINT),
        attempt=attempt,
        kind=kind,
        message="it broke",
        failed=values.get("failed", NOON),
    )


def test_samples_are_names_or_name_an_analysis() -> None:
    order = CohortOrder.model_validate({"samples": ["A", {"sample": "B", "analysis": "0" * 24}]})
    assert [(member.sample, member.analysis) for member in order.samples] == [("A", None), ("B", "0" * 24)]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"samples": ["A"]}, "at least 2"),
        ({"samples": ["A", "B", "A"]}, "names A twice"),
        ({"samples": ["A", "../B"]}, "samples.1.sample"),
        ({"samples": ["A", {"sample": "B", "analysis": "newest"}]}, "samples.1.analysis"),
        ({"samples": ["A", "B"], "refrence": "demo"}, "refrence"),
        ({"samples": [f"S{number}" for number in range(MAX_SAMPLES + 1)]}, f"at most {MAX_SAMPLES}"),
        ({"samples": "A,B"}, "samples"),
    ],
)
def test_what_is_no_cohort_is_refused_and_says_where(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        CohortOrder.model_validate(fields)


def test_the_id_follows_from_what_decides_the_results_and_from_nothing_else() -> None:
    assert freeze(received=NOON + timedelta(days=1), piece_bp=7).analysis == PLAN.analysis
    assert freeze(settings=CohortSettings(gatk_group_bp=7)).analysis == PLAN.analysis, "bcftools has no part in it"
    others = [
        freeze(dict(reversed(PLANS.items()))),
        freeze(PLANS | {"C": make_plan(sample="C", content="b")}),
        freeze({"A": PLANS["A"], "B": PLANS["B"]}),
        freeze(cohort="quartet"),
    ]
    assert len({plan.analysis for plan in others} | {PLAN.analysis}) == 5
    gatk = {name: make_plan(sample=name, options={"caller": "gatk"}) for name in "AB"}
    assert freeze(gatk).analysis != freeze(gatk, settings=CohortSettings(gatk_group_bp=7)).analysis


@pytest.mark.parametrize(
    ("other", "changes", "why"),
    [
        (make_plan(sample="B", contigs=(("chr1", 999),)), {}, "of sample A was made with reference bundle demo .*B"),
        (make_plan(sample="B", options={"caller": "gatk"}), {}, "of sample A was called by bcftools, .*B by gatk"),
        (make_plan(sample="B"), {"reference": "hg38"}, "asks for reference bundle hg38, .*A was made with demo"),
    ],
)
def test_analyses_that_cannot_be_joined_are_refused_by_name(other: Any, changes: Any, why: str) -> None:
    with pytest.raises(PermanentError, match=why):
        freeze({"A": PLANS["A"], "B": other}, **changes)


def test_a_planned_cohort_is_one_task_and_an_ended_one_is_closed() -> None:
    (submit,) = advance_cohort(PLAN, Facts(), NOON, RETRY)
    assert submit == SubmitTask(JOINT, 0)
    assert [stage for stage in Stage if is_due_after(submit, stage)] == [Stage.COHORT, Stage.RETRIED]
    for end in (Stage.JOINED, Stage.FAILED):
        assert advance_cohort(PLAN, Facts(results=frozenset({end})), NOON, RETRY) == [Close()]
    assert is_due_after(Close(), Stage.JOINED)


def test_a_failure_is_tried_again_after_its_delay_and_a_permanent_one_ends_the_cohort() -> None:
    facts = Facts(failures=(failure(),))
    assert advance_cohort(PLAN, facts, NOON + timedelta(seconds=59), RETRY) == []
    assert advance_cohort(PLAN, facts, NOON + timedelta(seconds=60), RETRY) == [SubmitTask(JOINT, 1)]
    record = failure(kind=FailureKind.PERMANENT)
    assert advance_cohort(PLAN, Facts(failures=(record,)), NOON, RETRY) == [Stop(record)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), deaths=st.integers(0, 8), bad=st.booleans())
def test_lost_and_doubled_events_and_dead_tasks_end_in_joined_or_failed(seed: int, deaths: int, bad: bool) -> None:
    """A world of one cohort: each look is an event (without Batch's word) or the timer (with it)."""
    rng = random.Random(seed)
    facts, now = Facts(), NOON
    attempts: dict[tuple[str, int], Attempt] = {}
    submitted: set[int] = set()
    died = 0
    for _ in range(500):
        now += timedelta(seconds=rng.choice([1, 60, 600]))
        for (work, attempt), task in list(attempts.items()):
            if task.state is AttemptState.ENDED or rng.random() < 0.5:
                continue
            attempts[work, attempt] = Attempt(AttemptState.ENDED, "exit code 137")
            if died < deaths:
                died += 1
            elif bad:
                record = failure(attempt, FailureKind.PERMANENT, failed=now)
                facts = dataclasses.replace(facts, failures=(*facts.failures, record))
            else:
                facts = dataclasses.replace(facts, results=frozenset({Stage.JOINED}))
        seen = dataclasses.replace(facts, attempts=dict(attempts) if rng.random() < 0.5 else None)
        actions = advance_cohort(PLAN, seen, now, RETRY)
        for action in actions * rng.choice([0, 1, 2]):  # lost, as it should be, doubled
            if isinstance(action, Close):
                is_given_up = deaths >= RETRY.max_attempts
                assert (Stage.FAILED in facts.results) == (bad or is_given_up)
                assert submitted == set(range(min(deaths + 1, RETRY.max_attempts)))
                return
            if isinstance(action, SubmitTask):
                submitted.add(action.attempt)
                attempts.setdefault((str(JOINT), action.attempt), Attempt(AttemptState.IN_HAND))
            elif isinstance(action, RecordFailure):
                if action.record.attempt not in {record.attempt for record in facts.failures}:
                    facts = dataclasses.replace(facts, failures=(*facts.failures, action.record))
            elif isinstance(action, Stop):
                facts = dataclasses.replace(facts, results=frozenset({Stage.FAILED}))
    pytest.fail("the cohort never ends")
