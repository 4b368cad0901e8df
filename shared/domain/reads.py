"""FASTQ files of a drop and the read groups that they form."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from shared.domain.fastq_names import NameKind, is_fastq, parse_fastq_name
from shared.domain.ids import Document
from shared.errors import PermanentError

__all__ = [
    "MAX_READ_GROUP_ID",
    "InputFile",
    "Origin",
    "Pair",
    "Pairing",
    "ReadGroup",
    "SampleName",
    "is_fastq",
    "is_sample_name",
    "label_of",
    "make_read_groups",
    "pair_up",
    "read_group_id",
]

_SAMPLE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
SampleName = Annotated[str, StringConstraints(pattern=f"^{_SAMPLE_NAME}$")]

MAX_READ_GROUP_ID = 40
"""Characters; a Batch task id holds a read group's id and may have 64."""


class InputFile(Document):
    """A FASTQ file of the drop, as the storage knows it.

    Attributes:
        name: Blob name in the landing container.
        size: Bytes.
        content: What identifies its bytes: `md5:` and the Content-MD5 (hex), or `etag:` and the ETag.
    """

    name: str
    size: int
    content: str


class ReadGroup(Document):
    """One R1/R2 pair of FASTQ files, or one file of single-end reads: one sample, library and lane.

    Attributes:
        id: SAM @RG ID; letters, digits, `_` and `-` only.
        r1: First reads, or single-end reads.
        r2: Second reads; None where the reads are single-end.
        library: SAM @RG LB.
        platform_unit: SAM @RG PU: flowcell, lane and index where the reads tell them.
        platform: SAM @RG PL.
        model: SAM @RG PM; empty when the reads do not tell it.
    """

    id: str
    r1: InputFile
    r2: InputFile | None = None
    library: str
    platform_unit: str
    platform: str = "ILLUMINA"
    model: str = ""

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The files in the order of the mates."""
        return (self.r1,) if self.r2 is None else (self.r1, self.r2)

    @property
    def is_single_end(self) -> bool:
        """Whether its reads have no mates."""
        return self.r2 is None

    @property
    def template_reads(self) -> int:
        """Reads of each template: 2 of a pair, 1 of a single-end read."""
        return len(self.files)

    @property
    def unit(self) -> str:
        """What is counted in it, in words."""
        return "single-end reads" if self.is_single_end else "read pairs"

    @property
    def size(self) -> int:
        """Bytes of the files as they lie in landing."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two FASTQ files that belong together, or one of single-end reads.

    Attributes:
        label: What tells it from the sample's other pairs of the same folder; safe as a read group id.
        r1: Blob name of the first reads, or of single-end reads.
        r2: Blob name of the second reads; None where the reads are single-end.
    """

    label: str
    r1: str
    r2: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Blob names in the order of the mates."""
        return (self.r1,) if self.r2 is None else (self.r1, self.r2)


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a set of FASTQ names gives: complete pairs, and what is missing or cannot be read."""

    pairs: tuple[Pair, ...]
    """In order of label, then of name."""
    missing: tuple[str, ...]
    """Names that would complete a pair."""
    unreadable: tuple[str, ...]
    """Names that follow no known convention."""
    left_out: tuple[str, ...] = ()
    """Index reads and reads that no sample got."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where reads come from, as far as their names tell; every field may be empty.

    Attributes:
        instrument: Serial number of the sequencer.
        run: Run number on this instrument.
        flowcell: Flowcell id.
        lane: Lane number.
        index: Index sequence or sequences, `+` between them.
        platform: As SAM's @RG PL.
        model: As SAM's @RG PM.
        first_read: Name of the first read, when it tells instrument and place and so is nobody else's.
    """

    instrument: str = ""
    run: str = ""
    flowcell: str = ""
    lane: str = ""
    index: str = ""
    platform: str = ""
    model: str = ""
    first_read: str = ""

    @property
    def platform_unit(self) -> str:
        """Flowcell, lane and index with dots between them, as GATK wants it; empty when flowcell or lane are unknown.

        An old instrument that names no flowcell is its own: the lane is then of the instrument.
        """
        place = self.flowcell or self.instrument
        return ".".join(part for part in (place, self.lane, self.index) if part) if place and self.lane else ""


def is_sample_name(text: str) -> bool:
    """Whether a text can be a sample's name: 1 to 64 letters, digits, dots, '_' and '-', the first none of these."""
    return re.fullmatch(_SAMPLE_NAME, text) is not None


def pair_up(sample: str, names: Iterable[str], *, single_end: bool = False) -> Pairing:
    """Find the R1/R2 pairs among blob names of one sample; or its files of single-end reads.

    Files pair within their folder only: the same name in two run folders is two lanes.

    Raises:
        PermanentError: When two pairs of a folder would share one read group id, or their ids differ in case only; or
            when a file of second mates is among single-end ones.
    """
    found: dict[tuple[str, str], dict[int, str]] = {}
    unreadable: list[str] = []
    left_out: list[str] = []
    expected: dict[str, str] = {}
    for name in sorted(set(names)):
        folder, _, file_name = name.rpartition("/")
        parsed = parse_fastq_name(file_name, sample, single_end=single_end)
        if parsed is None:
            unreadable.append(name)
            continue
        if parsed.kind is NameKind.LEFT_OUT:
            left_out.append(name)
            continue
        if single_end and parsed.mate != 1:
            raise PermanentError(
                f"landing/{name} is named as second mates, but the order says `single_end`. Leave `single_end` out to "
                "have pairs analysed; or leave this file out of `files` (or remove it), or rename it if its reads have "
                "no mates. Then upload the order again."
            )
        label = read_group_id(sample, parsed.stem, parsed.part)
        mates = found.setdefault((folder, label), {})
        if parsed.mate in mates:
            raise PermanentError(
                f"{mates[parsed.mate]} and {name} would both be R{parsed.mate} of read group {label}. "
                "Rename one of the pairs so that their lanes differ."
            )
        mates[parsed.mate] = name
        expected[name] = f"{folder}/{parsed.mate_name}".lstrip("/")
    _refuse_labels_of_other_case(found)
    pairs = sorted(
        (
            Pair(label, mates[1], mates.get(2))
            for (_, label), mates in found.items()
            if len(mates) == (1 if single_end else 2)
        ),
        key=lambda pair: (pair.label, pair.r1),
    )
    lone = [] if single_end else [next(iter(mates.values())) for mates in found.values() if len(mates) == 1]
    missing = sorted(expected[name] for name in lone)
    return Pairing(tuple(pairs), tuple(missing), tuple(unreadable), tuple(left_out))


def _refuse_labels_of_other_case(groups: Iterable[tuple[str, str]]) -> None:
    """Refuse lanes such as L1 and l1 in one folder: task ids do not know case, and a typing error is likelier."""
    seen: dict[tuple[str, str], str] = {}
    for folder, label in groups:
        if twin := seen.get((folder, label.lower())):
            raise PermanentError(
                f"Read groups {twin} and {label} differ in upper and lower case only. "
                "Rename one of the pairs so that their lanes differ."
            )
        seen[folder, label.lower()] = label


def read_group_id(sample: str, stem: str, part: str = "") -> str:
    """The read group id of a FASTQ name: what stands between the sample and the mate, made safe.

    Args:
        sample: The sample.
        stem: The name up to the mate.
        part: Number of the file among those of its lane, when it is not the first.

    >>> read_group_id("NA00001", "NA00001_S1_L001")
    'S1_L001'
    >>> read_group_id("NA00001", "NA00001")
    'RG1'
    >>> read_group_id("NA00001", "NA00001_S1_L001", "002")
    'S1_L001_002'
    """
    middle = stem.removeprefix(sample).strip("_-.")
    safe = "_".join(filter(None, (safe_id(middle) or "RG1", part)))
    if len(safe) > MAX_READ_GROUP_ID:
        raise PermanentError(
            f"The part '{middle}' of a FASTQ name is longer than {MAX_READ_GROUP_ID} characters, too long for a "
            "read group id. Use Illumina's names: SAMPLE_S1_L001_R1_001.fastq.gz."
        )
    return safe


def label_of(sample: str, name: str, lane: str = "") -> str:
    """The label of a pair or single file of a sample sheet, by its R1: as the file's name tells, else by its lane."""
    file_name = name.rpartition("/")[2]
    parsed = parse_fastq_name(file_name, sample)
    if parsed is not None:
        return read_group_id(sample, parsed.stem, parsed.part)
    return safe_id(lane or file_name.partition(".")[0])[:MAX_READ_GROUP_ID] or "RG1"


def safe_id(text: str) -> str:
    """Text with everything replaced that SAM, a blob's folder or a Batch task id would not take."""
    return "".join(letter if (letter.isascii() and letter.isalnum()) or letter in "_-" else "-" for letter in text)


def make_read_groups(
    sample: str, pairs: Sequence[Pair], files: Mapping[str, InputFile], origins: Mapping[str, Origin]
) -> tuple[ReadGroup, ...]:
    """The read groups of a sample's pairs, in order of id.

    Args:
        sample: The sample.
        pairs: Its pairs.
        files: The files by name.
        origins: What the reads tell, by the name of the R1; a pair may be missing.

    Raises:
        PermanentError: When two pairs begin with the same read: one lane was given twice.
    """
    _refuse_a_lane_twice(pairs, origins)
    groups = []
    for pair, group in zip(pairs, _unique_ids(pairs, origins), strict=True):
        origin = origins.get(pair.r1, Origin())
        groups.append(
            ReadGroup(
                id=group,
                r1=files[pair.r1],
                r2=None if pair.r2 is None else files[pair.r2],
                library=sample,
                platform_unit=origin.platform_unit or f"{sample}.{group}",
                platform=origin.platform or "ILLUMINA",
                model=origin.model,
            )
        )
    return tuple(sorted(groups, key=lambda group: group.id))


def _refuse_a_lane_twice(pairs: Sequence[Pair], origins: Mapping[str, Origin]) -> None:
    seen: dict[str, str] = {}
    for pair in pairs:
        first = origins.get(pair.r1, Origin()).first_read
        if first and first in seen:
            raise PermanentError(
                f"landing/{seen[first]} and landing/{pair.r1} begin with the same read: a lane was given twice. "
                "Leave one of the pairs out of `files` (or remove it), and upload the order again."
            )
        seen[first] = pair.r1


def _unique_ids(pairs: Sequence[Pair], origins: Mapping[str, Origin]) -> list[str]:
    """Ids of pairs: their labels; where several pairs have one label, the flowcell is added, or else a number.

    Compared without regard to case, as Batch compares task ids.
    """
    ids = [pair.label for pair in pairs]
    flowcells = [safe_id(origins.get(pair.r1, Origin()).flowcell) for pair in pairs]
    twins = _repeated(ids)
    ids = [
        f"{label}_{flowcell}" if label.lower() in twins and flowcell else label
        for label, flowcell in zip(ids, flowcells, strict=True)
    ]
    twins = _repeated(ids) | {one.lower() for one in ids if len(one) > MAX_READ_GROUP_ID}
    taken = {one.lower() for one in ids} - twins
    unique = []
    for one, pair in zip(ids, pairs, strict=True):
        name, number = one, 0
        while name.lower() in (taken if number else twins) or len(name) > MAX_READ_GROUP_ID:
            number += 1
            name = f"{pair.label[: MAX_READ_GROUP_ID - 4]}_{number}"
        taken.add(name.lower())
        unique.append(name)
    return unique


def _repeated(ids: Collection[str]) -> set[str]:
    return {one for one, count in Counter(one.lower() for one in ids).items() if count > 1}
