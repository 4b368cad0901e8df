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
    """A pair of FASTQ files that a sheet names: paths relative to the drop's folder, and the lane as it calls it."""

    r1: str
    r2: str
    lane: str = ""


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
    """

    sample: str
    lines: tuple[int, ...]
    fields: Mapping[Field, str] = field(default_factory=dict)
    pairs: tuple[SheetPair, ...] | None = None
    file_stems: tuple[str, ...] = ()
    number: int = 0
    lanes: tuple[int, ...] = ()
    is_lane_split: bool = True

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
