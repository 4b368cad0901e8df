"""File names of FASTQ files: the conventions that sequencers, archives and laboratories use."""

import re
from dataclasses import dataclass
from enum import Enum, unique

FASTQ_ENDINGS = (".fastq.gz", ".fq.gz", ".fastq.zst", ".fq.zst", ".fastq", ".fq")
"""What a FASTQ file's name ends in. The event subscription `ingest` lists the same endings."""

BESIDE_ENDINGS = (".bed", ".vcf", ".vcf.gz")
"""How the other files end that an order may name: targets, known genotypes."""

_ENDING = "(?P<ending>" + "|".join(re.escape(ending) for ending in FASTQ_ENDINGS) + ")"

_LETTERED = re.compile(r"(?P<stem>.+)_(?P<letter>[RI])(?P<mate>[12])(?:_(?P<part>\d{3}))?" + _ENDING)
"""`{sample}_S{n}_L{lane}_R{mate}_{part}`, as bcl2fastq and bcl-convert write, and its shorter forms; I is an index."""

_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<mate>[12])" + _ENDING)
"""`{sample}_{mate}`, as the SRA toolkit, BGI and many laboratories write."""

_LANE = re.compile(r"_L(?P<lane>\d{3})$")
_NUMBER = re.compile(r"_S\d+$")


@unique
class NameKind(Enum):
    """What a FASTQ file is for."""

    READS = "reads"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class FastqName:
    """What a FASTQ file's name tells.

    Attributes:
        stem: The name up to the mate.
        mate: 1 or 2.
        mate_name: The other mate's file name.
        part: Number of the file among those of its lane; empty for the first or only one.
        kind: Whether the analysis reads it.
    """

    stem: str
    mate: int
    mate_name: str
    part: str = ""
    kind: NameKind = NameKind.READS

    @property
    def lane(self) -> int | None:
        """The lane, where the name tells it as Illumina does."""
        match = _LANE.search(self.stem)
        return int(match["lane"]) if match else None

    @property
    def samples(self) -> tuple[str, ...]:
        """The samples that it may be of, by its name alone: without sample number and lane, and with them."""
        without_lane = _LANE.sub("", self.stem)
        return tuple(dict.fromkeys((_NUMBER.sub("", without_lane), without_lane, self.stem)))


def is_fastq(name: str) -> bool:
    """Whether a file name ends like a FASTQ file."""
    return name.endswith(FASTQ_ENDINGS)


def is_inside(path: str) -> bool:
    """Whether a relative path stays in its folder and has one spelling: no `..`, no address, no `/` at an end."""
    return "\\" not in path and "://" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


def parse_fastq_name(name: str, sample: str = "", *, single_end: bool = False) -> FastqName | None:
    """What a file name tells; None when it follows no known convention.

    Args:
        name: Without a folder.
        sample: The sample it lies with, when known. A file named exactly like the sample tells no mate: in a folder
            X_1, `X_1.fastq.gz` is the sample's only file or the first mate of X, and nobody can know which.
        single_end: The reads are known to have no mates: a name that tells no mate is one of first reads then.

    >>> parse_fastq_name("NA1_S1_L001_R2_001.fastq.gz").mate_name
    'NA1_S1_L001_R1_001.fastq.gz'
    >>> parse_fastq_name("X_1_2.fq.gz").stem
    'X_1'
    """
    match = _LETTERED.fullmatch(name) or _NUMBERED.fullmatch(name)
    if match is None or name.removesuffix(match["ending"]) == sample:
        return _single_name(name) if single_end else None
    found = match.groupdict()
    stem = found["stem"]
    if "letter" not in found and _LETTERED.fullmatch(f"{stem}.fq"):
        return None  # NA1_R1_2.fastq.gz: first mate, or second?
    part = found.get("part") or ""
    is_read = found.get("letter") != "I" and not (_is_undetermined(stem) and not _is_undetermined(sample))
    at, other = match.start("mate"), "2" if found["mate"] == "1" else "1"
    return FastqName(
        stem=stem,
        mate=int(found["mate"]),
        mate_name=f"{name[:at]}{other}{name[at + 1 :]}",
        part="" if part == "001" else part,
        kind=NameKind.READS if is_read else NameKind.LEFT_OUT,
    )


def _single_name(name: str) -> FastqName | None:
    stem = next((name.removesuffix(ending) for ending in FASTQ_ENDINGS if name.endswith(ending)), "")
    if not stem:
        return None
    return FastqName(stem, 1, "", kind=NameKind.LEFT_OUT if _is_undetermined(stem) else NameKind.READS)


def _is_undetermined(stem: str) -> bool:
    """Whether these are the reads that demultiplexing could give to no sample."""
    return stem == "Undetermined" or stem.startswith("Undetermined_")
