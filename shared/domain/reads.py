"""FASTQ files of a drop and the read groups that they form."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from shared.domain.ids import Document
from shared.errors import PermanentError

SampleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

FASTQ_NAME = re.compile(r"^(?P<stem>.+)_R(?P<mate>[12])(?:_001)?\.(?:fastq|fq)(?:\.gz)?$")
"""Illumina's names: `{sample}_S{n}_L{lane}_R{1,2}_001.fastq.gz` and their shorter forms."""

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
    """One R1/R2 pair of FASTQ files: one sample, library and lane.

    Attributes:
        id: SAM @RG ID; letters, digits, `_` and `-` only.
        r1: First reads.
        r2: Second reads.
        library: SAM @RG LB.
        platform_unit: SAM @RG PU.
    """

    id: str
    r1: InputFile
    r2: InputFile
    library: str
    platform_unit: str

    @property
    def size(self) -> int:
        """Bytes of both files as they lie in landing."""
        return self.r1.size + self.r2.size


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a set of FASTQ names gives: complete pairs, and what is missing or cannot be read."""

    pairs: tuple[tuple[str, str, str], ...]
    """(read group id, R1 name, R2 name), sorted by id."""
    missing: tuple[str, ...]
    """Names that would complete a pair."""
    unreadable: tuple[str, ...]
    """Names that follow no known convention."""


def is_fastq(name: str) -> bool:
    """Whether a file name ends like a FASTQ file."""
    return bool(re.search(r"\.(fastq|fq)(\.gz)?$", name))


def pair_up(sample: str, names: Iterable[str]) -> Pairing:
    """Find the R1/R2 pairs among blob names of one sample's folder.

    Raises:
        PermanentError: When two pairs would share one read group id, or their ids differ in case only.
    """
    found: dict[str, dict[str, str]] = {}
    unreadable: list[str] = []
    expected: dict[str, str] = {}
    for name in sorted(set(names)):
        folder, _, file_name = name.rpartition("/")
        match = FASTQ_NAME.match(file_name)
        if not match:
            unreadable.append(name)
            continue
        group = read_group_id(sample, match["stem"])
        mates = found.setdefault(group, {})
        if match["mate"] in mates:
            raise PermanentError(
                f"{mates[match['mate']]} and {name} would both be R{match['mate']} of read group {group}. "
                "Rename one of the pairs so that their lanes differ."
            )
        mates[match["mate"]] = name
        other = "2" if match["mate"] == "1" else "1"
        cut = match.start("mate")
        expected[name] = f"{folder}/{file_name[:cut]}{other}{file_name[cut + 1 :]}".lstrip("/")
    _refuse_ids_of_other_case(found)
    pairs = tuple((group, mates["1"], mates["2"]) for group, mates in sorted(found.items()) if len(mates) == 2)
    missing = tuple(expected[next(iter(mates.values()))] for mates in found.values() if len(mates) == 1)
    return Pairing(pairs, tuple(sorted(missing)), tuple(unreadable))


def _refuse_ids_of_other_case(groups: Iterable[str]) -> None:
    """Refuse read groups such as L1 and l1: their Batch tasks would be one, as task ids do not know case."""
    seen: dict[str, str] = {}
    for group in groups:
        if twin := seen.get(group.lower()):
            raise PermanentError(
                f"Read groups {twin} and {group} differ in upper and lower case only. "
                "Rename one of the pairs so that their lanes differ."
            )
        seen[group.lower()] = group


def read_group_id(sample: str, stem: str) -> str:
    """The read group id of a FASTQ name's stem: what stands between the sample and `_R1`, made safe.

    >>> read_group_id("NA00001", "NA00001_S1_L001")
    'S1_L001'
    >>> read_group_id("NA00001", "NA00001")
    'RG1'
    """
    middle = stem.removeprefix(sample).strip("_-.")
    safe = re.sub(r"[^A-Za-z0-9_-]", "-", middle) or "RG1"
    if len(safe) > MAX_READ_GROUP_ID:
        raise PermanentError(
            f"The part '{middle}' of a FASTQ name is longer than {MAX_READ_GROUP_ID} characters, too long for a "
            "read group id. Use Illumina's names: SAMPLE_S1_L001_R1_001.fastq.gz."
        )
    return safe
