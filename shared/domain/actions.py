"""What `advance` may decide. Each action is safe to apply twice."""

from dataclasses import dataclass

from shared.domain.markers import FailureRecord
from shared.domain.work import AlignWork, CallWork, JointWork, RecalibrateWork, SplitWork, StepWork


@dataclass(frozen=True, slots=True)
class OpenSplit:
    """Begin the split of a read group: write its first checkpoint."""

    read_group: str


@dataclass(frozen=True, slots=True)
class ContinueSplit:
    """Split a read group from its newest checkpoint on, in the function."""

    read_group: str
    next_chunk: int


@dataclass(frozen=True, slots=True)
class SubmitTask:
    """Hand a unit of work to Batch."""

    work: AlignWork | RecalibrateWork | CallWork | SplitWork | JointWork | StepWork
    attempt: int


@dataclass(frozen=True, slots=True)
class RunStep:
    """Run a step in the function."""

    work: StepWork


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """Write down that a task died without a word."""

    record: FailureRecord


@dataclass(frozen=True, slots=True)
class Stop:
    """End the analysis: tell, end its Batch job, leave all others alone."""

    record: FailureRecord


@dataclass(frozen=True, slots=True)
class Close:
    """Take an ended analysis off the index of open ones."""


Action = OpenSplit | ContinueSplit | SubmitTask | RunStep | RecordFailure | Stop | Close
