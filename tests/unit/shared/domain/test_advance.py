"""The decision of the chain: by table, and by playing whole analyses with events lost, doubled and out of order."""

import dataclasses
import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.actions import Action, Close, ContinueSplit, OpenSplit, RecordFailure, RunStep, Stop, SubmitTask
from shared.domain.advance import RetryPolicy, advance, is_due_after
from shared.domain.facts import Attempt, AttemptState, Facts
from shared.domain.markers import Decision, FailureKind
from shared.domain.plan import Plan
from shared.domain.work import (
    RESULT_STAGES,
    AlignWork,
    CallWork,
    ChunkKey,
    RecalibrateWork,
    SplitWork,
    Stage,
    Step,
    StepWork,
    Work,
)
from tests.factories import NOON, make_failure, make_plan

PLAN = make_plan(groups=("L1", "L2"))
GATK = make_plan(groups=("L1", "L2"), options={"caller": "gatk"}, gatk_shard_bp=500)
UNRECALIBRATED = make_plan(groups=("L1", "L2"), options={"caller": "gatk", "recalibrate": False}, gatk_shard_bp=500)
SHARDS = frozenset(range(len(PLAN.shards)))
C = ChunkKey
ALL = frozenset({C("L1", 0), C("L1", 1), C("L2", 0)})
SPLITS = {"L1": 2, "L2": 1}
CALLED = Facts(chunks=ALL, splits=SPLITS, aligned=ALL, called=SHARDS)


def steps(facts: Facts) -> list[Action]:
    return advance(PLAN, facts, NOON)


def test_a_new_plan_opens_the_split_of_every_read_group() -> None:
    assert steps(Facts()) == [OpenSplit("L1"), OpenSplit("L2")]


def test_a_split_goes_on_from_its_newest_checkpoint() -> None:
    assert steps(Facts(checkpoints={"L1": 3, "L2": 0})) == [ContinueSplit("L1", 3), ContinueSplit("L2", 0)]


def test_a_chunk_is_aligned_while_its_read_group_is_still_split() -> None:
    facts = Facts(checkpoints={"L1": 0, "L2": 0}, chunks=frozenset({C("L1", 0)}))
    assert SubmitTask(AlignWork(C("L1", 0)), 0) in steps(facts)


def test_calling_waits_for_the_last_chunk_of_every_read_group() -> None:
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL - {C("L2", 0)})
    assert steps(facts) == [SubmitTask(AlignWork(C("L2", 0)), 0)]


def test_calling_waits_for_the_end_of_the_split_even_when_every_chunk_so_far_is_aligned() -> None:
    facts = Facts(checkpoints={"L1": 0, "L2": 0}, chunks=ALL, splits={"L1": 2}, aligned=ALL)
    assert steps(facts) == [ContinueSplit("L2", 0)]


def test_every_shard_is_called_once_all_is_aligned() -> None:
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL, called=frozenset({1}))
    assert steps(facts) == [SubmitTask(CallWork(shard), 0) for shard in sorted(SHARDS - {1})]


def test_with_gatk_calling_waits_for_the_recalibration_of_every_shard() -> None:
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL)
    every = [SubmitTask(RecalibrateWork(shard), 0) for shard in sorted(SHARDS)]
    assert advance(GATK, facts, NOON) == every
    assert all(is_due_after(action, Stage.ALIGNED, C("L2", 0)) for action in every)
    some = dataclasses.replace(facts, recalibrated=frozenset({0}))
    assert advance(GATK, some, NOON) == [SubmitTask(RecalibrateWork(shard), 0) for shard in sorted(SHARDS - {0})]
    calls = advance(GATK, dataclasses.replace(facts, recalibrated=SHARDS), NOON)
    assert calls == [SubmitTask(CallWork(shard), 0) for shard in sorted(SHARDS)]
    assert all(is_due_after(action, Stage.RECALIBRATED) for action in calls)


def test_with_gatk_nothing_is_recalibrated_when_the_order_says_so() -> None:
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL)
    assert advance(UNRECALIBRATED, facts, NOON) == [SubmitTask(CallWork(shard), 0) for shard in sorted(SHARDS)]


@pytest.mark.parametrize(
    ("reached", "step"),
    [
        (frozenset(), Step.GATHER),
        (frozenset({Stage.GATHERED}), Step.ANNOTATE),
        (frozenset({Stage.GATHERED, Stage.ANNOTATED}), Step.DELIVER),
        (frozenset({Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED}), Step.ARCHIVE),
    ],
)
def test_each_step_follows_the_marker_of_the_one_before(reached: frozenset[Stage], step: Step) -> None:
    reported = dataclasses.replace(CALLED, results=reached | {Stage.QC_REPORTED})
    if reached:
        assert steps(reported) == [RunStep(StepWork(step))]
    else:
        assert steps(CALLED) == [RunStep(StepWork(step))]


def test_the_quality_report_is_made_beside_the_steps_and_only_archiving_waits_for_it() -> None:
    report = SubmitTask(StepWork(Step.REPORT_QC), 0)
    for reached, action in (
        ({Stage.GATHERED}, [RunStep(StepWork(Step.ANNOTATE)), report]),
        ({Stage.GATHERED, Stage.ANNOTATED}, [RunStep(StepWork(Step.DELIVER)), report]),
        ({Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED}, [report]),
    ):
        assert steps(dataclasses.replace(CALLED, results=frozenset(reached))) == action
    assert is_due_after(report, Stage.GATHERED)
    assert not is_due_after(report, Stage.ANNOTATED)
    archive = RunStep(StepWork(Step.ARCHIVE))
    assert is_due_after(archive, Stage.QC_REPORTED)
    assert is_due_after(archive, Stage.DELIVERED)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_quality_report_that_cannot_be_made_keeps_no_results_back(kind: FailureKind) -> None:
    work = StepWork(Step.REPORT_QC)
    attempts = 1 if kind is FailureKind.PERMANENT else RetryPolicy().max_attempts
    failures = tuple(make_failure(PLAN, work, attempt=attempt, kind=kind) for attempt in range(attempts))
    for reached, step in (
        ({Stage.GATHERED}, Step.ANNOTATE),
        ({Stage.GATHERED, Stage.ANNOTATED}, Step.DELIVER),
        ({Stage.GATHERED, Stage.ANNOTATED, Stage.DELIVERED}, Step.ARCHIVE),
    ):
        facts = dataclasses.replace(CALLED, results=frozenset(reached), failures=failures)
        assert steps(facts) == [RunStep(StepWork(step))]
    assert is_due_after(RunStep(StepWork(Step.ARCHIVE)), Stage.FAILURE, work=work)
    other = make_failure(PLAN, StepWork(Step.DELIVER), kind=FailureKind.PERMANENT)
    facts = dataclasses.replace(CALLED, results=frozenset({Stage.GATHERED}), failures=(*failures, other))
    assert steps(facts) == [Stop(other)]


def test_gather_and_annotate_of_a_large_sample_run_on_batch_and_deliver_does_not() -> None:
    large = make_plan(groups=("L1", "L2"), large_input_bytes=1)
    for reached, action in (
        ((), SubmitTask(StepWork(Step.GATHER), 0)),
        ((Stage.GATHERED,), SubmitTask(StepWork(Step.ANNOTATE), 0)),
        ((Stage.ANNOTATED,), RunStep(StepWork(Step.DELIVER))),
    ):
        assert advance(large, dataclasses.replace(CALLED, results=frozenset(reached)), NOON)[:1] == [action]


def test_what_needs_a_large_reference_runs_on_batch() -> None:
    large = make_plan(groups=("L1", "L2"), large_reference_bp=1_600)
    cram = make_plan(groups=("L1", "L2"), large_reference_bp=1_600, options={"alignments": "cram"})
    for plan, reached, action in (
        (large, (), RunStep(StepWork(Step.GATHER))),
        (cram, (), SubmitTask(StepWork(Step.GATHER), 0)),
        (large, (Stage.GATHERED,), SubmitTask(StepWork(Step.ANNOTATE), 0)),
        (large, (Stage.GATHERED, Stage.ANNOTATED), RunStep(StepWork(Step.DELIVER))),
        (make_plan(large_reference_bp=1_601), (Stage.GATHERED,), RunStep(StepWork(Step.ANNOTATE))),
    ):
        assert advance(plan, dataclasses.replace(CALLED, results=frozenset(reached)), NOON)[:1] == [action]


def test_a_large_read_group_is_split_on_batch_at_once_and_a_small_one_in_the_function() -> None:
    large = make_plan(groups=("L1", "L2"), large_read_group_bytes=2_000)
    assert advance(large, Facts(), NOON) == [SubmitTask(SplitWork("L1"), 0), SubmitTask(SplitWork("L2"), 0)]
    assert all(is_due_after(action, Stage.PLANNED) for action in advance(large, Facts(), NOON))
    small = make_plan(groups=("L1",), large_read_group_bytes=2_001)
    assert advance(small, Facts(), NOON) == [OpenSplit("L1")]


@pytest.mark.parametrize("end", [Stage.ARCHIVED, Stage.FAILED])
def test_an_ended_analysis_is_only_closed(end: Stage) -> None:
    assert steps(dataclasses.replace(CALLED, results=frozenset({end}))) == [Close()]


def test_a_permanent_failure_stops_the_analysis_and_nothing_else_is_begun() -> None:
    record = make_failure(PLAN, SplitWork("L1"), kind=FailureKind.PERMANENT)
    assert steps(Facts(chunks=ALL, failures=(record,))) == [Stop(record)]


def test_a_transient_failure_is_tried_again_after_its_delay_as_the_next_attempt() -> None:
    work = AlignWork(C("L2", 0))
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL - {C("L2", 0)}, failures=(make_failure(PLAN, work),))
    retry = RetryPolicy(max_attempts=3, first_delay_seconds=60)
    assert advance(PLAN, facts, NOON + timedelta(seconds=59), retry) == []
    assert advance(PLAN, facts, NOON + timedelta(seconds=60), retry) == [SubmitTask(work, 1)]


def test_the_last_transient_failure_stops_the_analysis() -> None:
    work = CallWork(0)
    records = tuple(make_failure(PLAN, work, attempt=attempt) for attempt in range(3))
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=ALL, failures=records)
    assert advance(PLAN, facts, NOON, RetryPolicy(max_attempts=3)) == [Stop(records[2])]


def test_delivering_is_tried_for_hours_because_only_an_outside_service_is_missed() -> None:
    work = StepWork(Step.DELIVER)
    facts = dataclasses.replace(CALLED, results=frozenset({Stage.GATHERED, Stage.ANNOTATED, Stage.QC_REPORTED}))
    now, attempts = NOON, 0
    while True:
        failures = (*facts.failures, make_failure(PLAN, work, attempt=attempts, failed=now))
        facts = dataclasses.replace(facts, failures=failures)
        if isinstance(advance(PLAN, facts, now)[:1] and advance(PLAN, facts, now)[0], Stop):
            break
        now = RetryPolicy().ready_at(failures[-1])
        assert advance(PLAN, facts, now) == [RunStep(work)]
        attempts += 1
    assert attempts == 11
    assert timedelta(hours=8) < now - NOON < timedelta(hours=10)


@given(
    past=st.integers(0, 40),
    work=st.sampled_from([CallWork(0), StepWork(Step.ANNOTATE), StepWork(Step.DELIVER)]),
    retry=st.builds(RetryPolicy, max_attempts=st.integers(1, 6), max_delivery_attempts=st.integers(1, 6)),
)
def test_a_retry_gives_as_many_attempts_and_delays_as_at_first_and_uses_no_number_twice(
    past: int, work: Work, retry: RetryPolicy
) -> None:
    before = {Step.ANNOTATE: {Stage.GATHERED}, Step.DELIVER: {Stage.GATHERED, Stage.ANNOTATED}}
    results = before[work.step] if isinstance(work, StepWork) else set()
    called = frozenset() if isinstance(work, CallWork) else SHARDS
    facts = dataclasses.replace(CALLED, called=called, results=frozenset(results), past={str(work): past}, round=1)
    now, delays = NOON, []
    while not isinstance(first := advance(PLAN, facts, now, retry)[0], Stop):
        if isinstance(first, SubmitTask):
            assert first.attempt == past + len(delays)
        record = make_failure(PLAN, work, attempt=facts.next_attempt(str(work)), failed=now)
        facts = dataclasses.replace(facts, failures=(*facts.failures, record))
        delays.append(retry.ready_at(record, past) - now)
        now = now + delays[-1]
    limit = retry.max_delivery_attempts if work == StepWork(Step.DELIVER) else retry.max_attempts
    assert [record.attempt for record in facts.failures] == list(range(past, past + limit))
    assert delays == [timedelta(seconds=min(60 * 4**n, 3600)) for n in range(limit)]


def test_after_a_retry_everything_that_can_go_on_is_due() -> None:
    facts = Facts(chunks=ALL, splits=SPLITS, aligned=frozenset({C("L1", 0)}), round=1)
    actions = steps(facts)
    assert len(actions) == 2
    assert all(is_due_after(action, Stage.RETRIED) for action in actions)


def test_a_task_in_hand_is_left_alone_and_one_that_died_without_a_word_is_recorded() -> None:
    facts = Facts(
        chunks=ALL,
        splits=SPLITS,
        aligned=ALL - {C("L1", 0), C("L2", 0)},
        attempts={
            ("align-L1-00000", 0): Attempt(AttemptState.IN_HAND),
            ("align-L2-00000", 0): Attempt(AttemptState.ENDED, "exit code 137", "Killed"),
        },
    )
    (action,) = steps(facts)
    assert isinstance(action, RecordFailure)
    assert action.record.work == "align-L2-00000"
    assert action.record.kind is FailureKind.TRANSIENT
    assert "exit code 137" in action.record.message


def test_a_dead_first_attempt_does_not_hide_that_the_second_was_never_submitted() -> None:
    work = AlignWork(C("L1", 0))
    facts = Facts(
        chunks=ALL,
        splits=SPLITS,
        aligned=ALL - {C("L1", 0)},
        failures=(make_failure(PLAN, work),),
        attempts={(str(work), 0): Attempt(AttemptState.ENDED, "exit code 1")},
    )
    assert advance(PLAN, facts, NOON + timedelta(hours=1)) == [SubmitTask(work, 1)]


ANNOTATED = frozenset({Stage.GATHERED, Stage.ANNOTATED})
FLAGGED = ANNOTATED | {Stage.FLAGGED}
HELD = FLAGGED | {Stage.HELD}
DECIDED = HELD | {Stage.DECIDED}


@pytest.mark.parametrize(
    ("reached", "decision", "step"),
    [
        (FLAGGED, None, Step.HOLD),
        (HELD, None, None),
        (DECIDED, Decision.RELEASED, Step.DELIVER),
        (DECIDED, Decision.REJECTED, Step.REJECT),
        (DECIDED | {Stage.DELIVERED}, Decision.RELEASED, Step.ARCHIVE),
        (DECIDED | {Stage.REJECTED}, Decision.REJECTED, Step.ARCHIVE),
        (FLAGGED - {Stage.ANNOTATED}, None, Step.ANNOTATE),
    ],
)
def test_a_flagged_sample_is_held_until_it_is_decided_on(
    reached: frozenset[Stage], decision: Decision | None, step: Step | None
) -> None:
    facts = dataclasses.replace(CALLED, results=reached | {Stage.QC_REPORTED}, decision=decision)
    assert steps(facts) == ([RunStep(StepWork(step))] if step else [])


@given(
    results=st.frozensets(st.sampled_from(RESULT_STAGES)),
    decision=st.sampled_from([None, *Decision]),
)
def test_no_state_of_the_results_delivers_what_is_flagged_and_not_released(
    results: frozenset[Stage], decision: Decision | None
) -> None:
    actions = steps(dataclasses.replace(CALLED, results=results, decision=decision))
    if decision is Decision.REJECTED or (Stage.FLAGGED in results and decision is None):
        assert RunStep(StepWork(Step.DELIVER)) not in actions
    if decision is not Decision.REJECTED:
        assert RunStep(StepWork(Step.REJECT)) not in actions
    if decision is not None or Stage.FLAGGED not in results:
        assert RunStep(StepWork(Step.HOLD)) not in actions


class World:
    """An analysis whose effects are applied to facts, and whose markers queue up as events.

    Args:
        chunks: Chunks of each read group.
        flagged: Whether the sample misses its limits.
    """

    def __init__(self, chunks: dict[str, int], *, flagged: bool = False) -> None:
        self.chunks = chunks
        self.flagged = flagged
        self.told: list[str] = []  # what the EHR was told, in order
        self.facts = Facts()
        self.events: list[tuple[Stage, ChunkKey | None, Work | None]] = [(Stage.PLANNED, None, None)]
        self.submitted: list[tuple[Work, int]] = []

    def set(self, stage: Stage, chunk: ChunkKey | None = None, **change: object) -> None:
        before = self.facts
        self.facts = dataclasses.replace(before, **change)  # type: ignore[arg-type]
        if self.facts != before:
            self.events.append((stage, chunk, None))

    def apply(self, action: Action) -> None:
        facts = self.facts
        match action:
            case OpenSplit(group):
                self.set(Stage.CHECKPOINT, C(group, 0), checkpoints={**facts.checkpoints, group: 0})
            case ContinueSplit(group, number):
                # One chunk a call, then a checkpoint: every place where a split may stop.
                chunk = C(group, number)
                self.set(Stage.CHUNK, chunk, chunks=facts.chunks | {chunk})
                if number + 1 < self.chunks[group]:
                    self.set(
                        Stage.CHECKPOINT,
                        C(group, number + 1),
                        checkpoints={**self.facts.checkpoints, group: number + 1},
                    )
                else:
                    splits = {**self.facts.splits, group: self.chunks[group]}
                    self.set(Stage.SPLIT, C(group, 0), splits=splits)
            case SubmitTask(AlignWork(chunk) as work, attempt):
                self.submitted.append((work, attempt))
                self.set(Stage.ALIGNED, chunk, aligned=facts.aligned | {chunk})
            case SubmitTask(RecalibrateWork(shard) as work, attempt):
                self.submitted.append((work, attempt))
                self.set(Stage.RECALIBRATED, None, recalibrated=facts.recalibrated | {shard})
            case SubmitTask(CallWork(shard) as work, attempt):
                self.submitted.append((work, attempt))
                self.set(Stage.CALLED, None, called=facts.called | {shard})
            case SubmitTask(StepWork(Step.REPORT_QC), attempt):
                self.set(Stage.QC_REPORTED, None, results=facts.results | {Stage.QC_REPORTED})
            case RunStep(StepWork(step)):
                if step in {Step.HOLD, Step.DELIVER, Step.REJECT} and step.stage not in facts.results:
                    self.told.append(str(step))
                flag = {Stage.FLAGGED} if step is Step.GATHER and self.flagged else set()
                self.set(step.stage, None, results=facts.results | {step.stage} | flag)
            case _:
                assert isinstance(action, Close), action

    def decide(self, decision: Decision) -> None:
        """As an operator may: only what is held, and once."""
        if Stage.HELD in self.facts.results and self.facts.decision is None:
            self.set(Stage.DECIDED, None, results=self.facts.results | {Stage.DECIDED}, decision=decision)


@given(
    decision=st.sampled_from([None, *Decision]),
    seed=st.integers(0, 2**32),
    lost=st.floats(0, 0.5),
    doubled=st.floats(0, 0.5),
)
@settings(max_examples=200, deadline=None)
def test_a_flagged_sample_ends_as_it_was_decided_whatever_becomes_of_its_events(
    decision: Decision | None, seed: int, lost: float, doubled: float
) -> None:
    dice = random.Random(seed)
    world = World({"L1": 1, "L2": 1}, flagged=True)
    patience = 30  # how often somebody looks before deciding
    for _ in range(500):
        actions: list[Action] = []
        if world.events:
            event = world.events.pop(dice.randrange(len(world.events)))
            if dice.random() < doubled:
                world.events.append(event)
            if dice.random() >= lost:
                stage, chunk, work = event
                actions = [a for a in advance(PLAN, world.facts, NOON) if is_due_after(a, stage, chunk, work)]
        else:
            actions = advance(PLAN, world.facts, NOON)
            if actions == [Close()]:
                break
        for action in actions:
            world.apply(action)
        if decision and dice.randrange(patience) == 0:
            world.decide(decision)
    if decision is None:
        assert world.facts.results == HELD | {Stage.QC_REPORTED}
        assert world.told == ["hold"]
        return
    end, step = (Stage.DELIVERED, "deliver") if decision is Decision.RELEASED else (Stage.REJECTED, "reject")
    assert world.facts.results == DECIDED | {end, Stage.QC_REPORTED, Stage.ARCHIVED}
    assert world.told == ["hold", step]


PLANS = st.sampled_from([PLAN, GATK, UNRECALIBRATED])


@given(
    plan=PLANS,
    chunks=st.fixed_dictionaries({"L1": st.integers(1, 4), "L2": st.integers(1, 3)}),
    seed=st.integers(0, 2**32),
    lost=st.floats(0, 0.5),
    doubled=st.floats(0, 0.5),
)
@settings(max_examples=200, deadline=None)
def test_events_lost_doubled_and_out_of_order_always_end_with_every_unit_done(
    plan: Plan, chunks: dict[str, int], seed: int, lost: float, doubled: float
) -> None:
    dice = random.Random(seed)
    world = World(chunks)
    for _ in range(500):
        if world.events:
            event = world.events.pop(dice.randrange(len(world.events)))
            if dice.random() < doubled:
                world.events.append(event)
            if dice.random() < lost:
                continue
            stage, chunk, work = event
            actions = [a for a in advance(plan, world.facts, NOON) if is_due_after(a, stage, chunk, work)]
        else:
            actions = advance(plan, world.facts, NOON)  # the timer
            if actions == [Close()]:
                break
        for action in actions[: dice.randint(0, len(actions))] if dice.random() < 0.1 else actions:
            world.apply(action)  # now and then the host dies between two effects
    assert world.facts.results == {
        Stage.GATHERED,
        Stage.ANNOTATED,
        Stage.DELIVERED,
        Stage.QC_REPORTED,
        Stage.ARCHIVED,
    }
    assert world.facts.aligned == {C(g, n) for g, count in chunks.items() for n in range(count)}
    assert world.facts.called == SHARDS
    assert world.facts.recalibrated == (SHARDS if plan is GATK else frozenset())
    assert {attempt for _, attempt in world.submitted} == {0}


@given(
    plan=PLANS,
    chunks=st.fixed_dictionaries({"L1": st.integers(1, 4), "L2": st.integers(1, 3)}),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=100, deadline=None)
def test_without_lost_events_the_timer_is_never_needed(plan: Plan, chunks: dict[str, int], seed: int) -> None:
    dice = random.Random(seed)
    world = World(chunks)
    while world.events:
        stage, chunk, work = world.events.pop(dice.randrange(len(world.events)))
        for action in advance(plan, world.facts, NOON):
            if is_due_after(action, stage, chunk, work):
                world.apply(action)
    assert Stage.ARCHIVED in world.facts.results


@pytest.mark.parametrize("decision", Decision)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_without_lost_events_a_decision_needs_no_timer(decision: Decision, seed: int) -> None:
    dice = random.Random(seed)
    world = World({"L1": 2, "L2": 1}, flagged=True)
    while world.events:
        stage, chunk, work = world.events.pop(dice.randrange(len(world.events)))
        for action in advance(PLAN, world.facts, NOON):
            if is_due_after(action, stage, chunk, work):
                world.apply(action)
        if not world.events:
            world.decide(decision)
    assert Stage.ARCHIVED in world.facts.results
