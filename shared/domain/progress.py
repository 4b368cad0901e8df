"""How far an analysis is, for people: pure, from its plan and facts."""

from dataclasses import dataclass

from shared.domain.facts import Facts
from shared.domain.markers import Decision
from shared.domain.plan import Plan
from shared.domain.work import Stage


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is.

    Attributes:
        stage: The stage that is under way, or the last one: `splitting`, `aligning`, `recalibrating`, `calling`,
            `gathering`, `annotating`, `delivering`, `held` (waiting for a decision), `rejecting`, `archiving`,
            `completed`, `rejected`, `failed`.
        chunks: Chunks that are there.
        chunks_total: None while the split still runs.
        aligned: Chunks that are aligned.
        recalibrated: Shards whose bases are counted for recalibration; 0 in analyses without it.
        called: Shards that are called.
        shards: Shards in all.
        failures: Failed attempts so far.
    """

    stage: str
    chunks: int
    chunks_total: int | None
    aligned: int
    recalibrated: int
    called: int
    shards: int
    failures: int


def progress_of(plan: Plan, facts: Facts) -> Progress:
    """Sum up the facts of an analysis."""
    is_split = all(group.id in facts.splits for group in plan.read_groups)
    total = sum(facts.splits.values()) if is_split else None
    shards = len(plan.shards)
    if is_split and len(facts.aligned) == total:
        waits = plan.order.options.recalibrates and len(facts.recalibrated) < shards
        stage = "recalibrating" if waits else "gathering" if len(facts.called) == shards else "calling"
    else:
        stage = "aligning" if facts.chunks else "splitting"
    for reached, then in (
        (Stage.GATHERED, "annotating"),
        (Stage.ANNOTATED, "delivering"),
        (Stage.HELD, "held"),
        (Stage.DECIDED, "rejecting" if facts.decision is Decision.REJECTED else "delivering"),
        (Stage.DELIVERED, "archiving"),
        (Stage.REJECTED, "archiving"),
        (Stage.ARCHIVED, "rejected" if Stage.REJECTED in facts.results else "completed"),
        (Stage.FAILED, "failed"),
    ):
        if reached in facts.results:
            stage = then
    return Progress(
        stage=stage,
        chunks=len(facts.chunks),
        chunks_total=total,
        aligned=len(facts.aligned),
        recalibrated=len(facts.recalibrated),
        called=len(facts.called),
        shards=shards,
        failures=len(facts.failures),
    )
