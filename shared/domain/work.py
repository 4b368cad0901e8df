"""The units of work of an analysis: chunks, tasks, steps, and the stages that markers stand for."""

import re
from dataclasses import dataclass
from enum import StrEnum, unique

from shared.errors import PermanentError


@unique
class Stage(StrEnum):
    """What a marker says has happened."""

    PLANNED = "planned"
    CHECKPOINT = "checkpoint"
    CHUNK = "chunk"
    SPLIT = "split"
    ALIGNED = "aligned"
    RECALIBRATED = "recalibrated"
    CALLED = "called"
    FLAGGED = "flagged"
    """The sample missed its quality limits; written before `gathered`."""
    GATHERED = "gathered"
    ANNOTATED = "annotated"
    HELD = "held"
    DECIDED = "decided"
    """An operator released or rejected a held analysis."""
    REJECTED = "rejected"
    """A rejection was told to the EHR."""
    DELIVERED = "delivered"
    QC_REPORTED = "qc-reported"
    ARCHIVED = "archived"
    FAILURE = "failure"
    FAILED = "failed"
    COHORT = "cohort"
    """The plan of a cohort is frozen."""
    JOINED = "joined"
    """A cohort's samples are in one VCF."""
    RETRIED = "retried"
    """An operator let a failed analysis be tried again."""


RESULT_STAGES = (
    Stage.FLAGGED,
    Stage.GATHERED,
    Stage.ANNOTATED,
    Stage.HELD,
    Stage.DECIDED,
    Stage.REJECTED,
    Stage.DELIVERED,
    Stage.QC_REPORTED,
    Stage.ARCHIVED,
    Stage.JOINED,
    Stage.FAILED,
)
"""Stages whose markers lie in the results container."""


@unique
class Step(StrEnum):
    """The steps after calling, one marker each."""

    GATHER = "gather"
    ANNOTATE = "annotate"
    HOLD = "hold"
    DELIVER = "deliver"
    REJECT = "reject"
    REPORT_QC = "report-qc"
    ARCHIVE = "archive"

    @property
    def stage(self) -> Stage:
        """The stage that the step's marker stands for."""
        return _STAGE_OF[self]


_STAGE_OF = {
    Step.GATHER: Stage.GATHERED,
    Step.ANNOTATE: Stage.ANNOTATED,
    Step.HOLD: Stage.HELD,
    Step.DELIVER: Stage.DELIVERED,
    Step.REJECT: Stage.REJECTED,
    Step.REPORT_QC: Stage.QC_REPORTED,
    Step.ARCHIVE: Stage.ARCHIVED,
}


@dataclass(frozen=True, slots=True, order=True)
class ChunkKey:
    """A chunk: read group id and number, counted from 0."""

    read_group: str
    number: int


@dataclass(frozen=True, slots=True)
class AlignWork:
    """Align one chunk."""

    chunk: ChunkKey

    def __str__(self) -> str:
        return f"align-{self.chunk.read_group}-{self.chunk.number:05d}"


@dataclass(frozen=True, slots=True)
class RecalibrateWork:
    """Count one shard's bases for the recalibration of qualities, by its number."""

    shard: int

    def __str__(self) -> str:
        return f"recalibrate-{self.shard:05d}"


@dataclass(frozen=True, slots=True)
class CallWork:
    """Call one shard, by its number."""

    shard: int

    def __str__(self) -> str:
        return f"call-{self.shard:05d}"


@dataclass(frozen=True, slots=True)
class SplitWork:
    """Split one read group."""

    read_group: str

    def __str__(self) -> str:
        return f"split-{self.read_group}"


@dataclass(frozen=True, slots=True)
class JointWork:
    """Genotype a cohort's samples together."""

    def __str__(self) -> str:
        return "joint"


@dataclass(frozen=True, slots=True)
class StepWork:
    """Run one of the steps after calling."""

    step: Step

    def __str__(self) -> str:
        return str(self.step)


Work = AlignWork | RecalibrateWork | CallWork | SplitWork | JointWork | StepWork
"""A unit of work; `str(work)` is its name in task ids, failure records and logs."""


def parse_work(name: str) -> Work:
    """The unit of work that `str(work)` named."""
    if match := re.fullmatch(r"align-(.+)-(\d{5})", name):
        return AlignWork(ChunkKey(match[1], int(match[2])))
    if match := re.fullmatch(r"recalibrate-(\d{5})", name):
        return RecalibrateWork(int(match[1]))
    if match := re.fullmatch(r"call-(\d{5})", name):
        return CallWork(int(match[1]))
    if match := re.fullmatch(r"split-(.+)", name):
        return SplitWork(match[1])
    if name == "joint":
        return JointWork()
    try:
        return StepWork(Step(name))
    except ValueError:
        raise PermanentError(f"'{name}' names no unit of work such as align-S1_L001-00000 or gather.") from None
