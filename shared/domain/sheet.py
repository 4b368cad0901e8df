"""What a sample sheet says, whatever its form: one entry per sample, and the lines that cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class Field(StrEnum):
    """What a sheet may say of a sample beside its files; the value is the column's name."""

    PATIENT = "patient"
    PATIENT_SYSTEM = "patient_system"
    SEX = "sex"
    REFERENCE = "reference"
    TEST = "test"
    TEST_DISPLAY = "test_display"
    TEST_SYSTEM = "test_system"
    REQUISITION = "requisition"
    REQUISITION_SYSTEM = "requisition_system"
    ACCESSION = "accession"
    SPECIMEN_TYPE = "specimen_type"


@dataclass(frozen=True, slots=True)
class SheetPair:
    """FASTQ files that a sheet names in a row: paths relative to the drop's folder, and the lane as it calls it.

    Attributes:
        r2: None where the reads are single-end.
    """

    r1: str
    r2: str | None = None
    lane: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The files in the order of the mates."""
        return (self.r1,) if self.r2 is None else (self.r1, self.r2)


@dataclass(frozen=True, slots=True)
class SheetSample:
    """A sample of a sheet.

    Attributes:
        sample: Its name.
        lines: Line numbers in the sheet, from 1.
        fields: What the sheet says of it; no field is empty. Sex is `female` or `male`.
        pairs: Its files; None when the sheet names none and their names tell.
        file_stems: What the names of its files begin with, when the sheet names none.
        number: Illumina's number of the sample: its files' names have S and this number.
        lanes: Illumina's lanes; empty when the sheet tells none.
        is_lane_split: Whether Illumina's software was told to write a file per lane.
        is_one_read: Whether an Illumina sheet tells that the run had one read, without mates.
    """

    sample: str
    lines: tuple[int, ...]
    fields: Mapping[Field, str] = field(default_factory=dict)
    pairs: tuple[SheetPair, ...] | None = None
    file_stems: tuple[str, ...] = ()
    number: int = 0
    lanes: tuple[int, ...] = ()
    is_lane_split: bool = True
    is_one_read: bool = False

    @property
    def is_single_end(self) -> bool:
        """Whether the sheet says that none of its reads has a mate."""
        if self.pairs is None:
            return self.is_one_read
        return all(pair.r2 is None for pair in self.pairs)

    @property
    def place(self) -> str:
        """Where in the sheet it is."""
        return place(self.lines)


@dataclass(frozen=True, slots=True)
class SheetFault:
    """A sample that cannot be used; the others go on.

    Attributes:
        lines: Line numbers in the sheet, from 1.
        sample: The sample's name as it stands there; may be empty or no name at all.
        reason: What is wrong and what to do; a sentence without the place.
    """

    lines: tuple[int, ...]
    sample: str
    reason: str

    @property
    def place(self) -> str:
        """Where in the sheet it is."""
        return place(self.lines)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sample sheet as it was understood.

    Attributes:
        samples: The samples in the order of the sheet.
        faults: Those that cannot be used.
        notes: What was not read, for the status page.
    """

    samples: tuple[SheetSample, ...]
    faults: tuple[SheetFault, ...] = ()
    notes: tuple[str, ...] = ()


def place(lines: tuple[int, ...]) -> str:
    """Line numbers in words.

    >>> place((3,)), place((3, 4))
    ('line 3', 'lines 3, 4')
    """
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}"
