"""What has happened to an analysis: exactly what its blobs (and, when asked, Batch) say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from shared.domain.markers import Decision, FailureRecord
from shared.domain.work import ChunkKey, Stage


@unique
class AttemptState(StrEnum):
    """What Batch says of the newest attempt at a unit of work."""

    IN_HAND = "in hand"
    ENDED = "ended"
    """Ended, and left neither a marker nor a failure record: it died without a word."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A Batch task of the analysis.

    Attributes:
        message: How it ended, in Batch's words.
        detail: The end of its log.
    """

    state: AttemptState
    message: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The markers of one analysis, read from listings.

    Attributes:
        checkpoints: Highest checkpoint by read group: the number of the chunk it goes on with.
        chunks: Chunks that are there.
        splits: Number of chunks by read group that is split completely.
        aligned: Chunks that are aligned.
        recalibrated: Shards whose bases are counted for recalibration; stays empty in analyses without it.
        called: Shards that are called.
        results: Stages of the results that are reached.
        decision: What was decided on a held analysis; None when nothing was.
        round: How often an operator let the failed analysis be tried again.
        past: Attempts by unit of work that earlier rounds used up.
        failures: Failure records of this round, in no order.
        attempts: Batch tasks by (work name, attempt); None when Batch was not asked.
        newest: When the newest marker was written, UTC; None without markers.
    """

    checkpoints: Mapping[str, int] = field(default_factory=dict)
    chunks: frozenset[ChunkKey] = frozenset()
    splits: Mapping[str, int] = field(default_factory=dict)
    aligned: frozenset[ChunkKey] = frozenset()
    recalibrated: frozenset[int] = frozenset()
    called: frozenset[int] = frozenset()
    results: frozenset[Stage] = frozenset()
    decision: Decision | None = None
    round: int = 0
    past: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[FailureRecord, ...] = ()
    attempts: Mapping[tuple[str, int], Attempt] | None = None
    newest: datetime | None = None

    def next_attempt(self, work: str) -> int:
        """The number of the next attempt at a unit of work; numbers go on over rounds, so that none is used twice."""
        failed = (record.attempt + 1 for record in self.failures if record.work == work)
        return max(failed, default=self.past.get(work, 0))
