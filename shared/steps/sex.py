"""The sex that sets the ploidy of X and Y: as ordered, else as the reads show it; the same for every task."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.genome import Interval
from shared.domain.karyotype import Sex
from shared.domain.markers import AlignedMarker
from shared.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class SexFinding:
    """What is known of a sample's sex.

    Attributes:
        given: By the order.
        inferred: From the reads; None when it cannot be told.
    """

    given: Sex | None
    inferred: Sex | None

    @property
    def used(self) -> Sex | None:
        """What sets the ploidy: the order knows better than reads that may be another sample's."""
        return self.given or self.inferred

    @property
    def agrees(self) -> bool | None:
        """Whether the reads show what the order says; None when either is unknown."""
        if self.given is None or self.inferred is None:
            return None
        return self.given is self.inferred


def decide_sex(plan: Plan, aligned: Iterable[AlignedMarker], targets: Sequence[Interval] | None) -> SexFinding:
    """Sex by the order and by the counts of all aligned chunks.

    Args:
        plan: The analysis.
        aligned: Every chunk's marker; a task of the analysis starts when all are there.
        targets: What the analysis is limited to.
    """
    counts: Counter[str] = Counter()
    for marker in aligned:
        counts.update(marker.metrics)
    return SexFinding(plan.order.sex, plan.karyotype.infer(counts, targets))
