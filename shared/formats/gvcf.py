"""GVCF lines of one sample: reference blocks, cut and joined so that shards leave no trace.

A block says that every position from POS to INFO/END (1-based, closed) looks like the reference, with a depth
of at least
INFO/MIN_DP reads; the depths of all its positions lie in one depth band.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class ReferenceBlock:
    """A reference block.

    Attributes:
        contig: CHROM.
        start: 0-based start.
        end: Half-open end.
        ref: The reference base at `start`.
        min_depth: Lowest depth of its positions, reads.
        genotype: GT, such as `0/0`.
    """

    contig: str
    start: int
    end: int
    ref: str
    min_depth: int
    genotype: str

    def line(self) -> str:
        """The block as bcftools writes it, without a line end."""
        end = f"END={self.end};" if self.end > self.start + 1 else ""
        return (
            f"{self.contig}\t{self.start + 1}\t.\t{self.ref}\t.\t.\t.\t{end}MIN_DP={self.min_depth}"
            f"\tGT:DP\t{self.genotype}:{self.min_depth}"
        )


def parse_block(line: str) -> ReferenceBlock | None:
    """The reference block of a GVCF line without line end; None for a variant.

    Raises:
        PermanentError: When a record without ALT is not written as a block.
    """
    columns = line.split("\t")
    if columns[4] != ".":
        return None
    info = dict(item.split("=", 1) for item in columns[7].split(";") if "=" in item)
    if "MIN_DP" not in info or columns[8] != "GT:DP":
        raise PermanentError(
            f"GVCF record {columns[0]}:{columns[1]} has no ALT and is no reference block (INFO '{columns[7]}', "
            f"FORMAT "
            f"'{columns[8]}'). Was it written by another version of bcftools?"
        )
    genotype = columns[9].split(":", 1)[0]
    start = int(columns[1]) - 1
    return ReferenceBlock(columns[0], start, int(info.get("END", start + 1)), columns[3], int(info["MIN_DP"]), genotype)


def band(depth_bands: Sequence[int], depth: int) -> int:
    """The number of the depth band (lower ends given, ascending) that a depth lies in; -1 below the first."""
    return bisect_right(depth_bands, depth) - 1


def join(first: ReferenceBlock, second: ReferenceBlock, depth_bands: Sequence[int]) -> ReferenceBlock | None:
    """One block for two that touch and agree; None when there must be two."""
    if (
        first.contig != second.contig
        or first.end != second.start
        or first.genotype != second.genotype
        or band(depth_bands, first.min_depth) != band(depth_bands, second.min_depth)
    ):
        return None
    return replace(first, end=second.end, min_depth=min(first.min_depth, second.min_depth))


BANDS_KEY = "##fastq2fhir_depth_bands="
"""The header line that tells the gather which bands the blocks were made with."""


def bands_line(depth_bands: Sequence[int]) -> str:
    """The header line of the depth bands."""
    return BANDS_KEY + ",".join(map(str, depth_bands))


def parse_bands(header: Sequence[str]) -> tuple[int, ...]:
    """The depth bands named in a GVCF header.

    Raises:
        PermanentError: When the header does not name them.
    """
    for line in header:
        if line.startswith(BANDS_KEY):
            return tuple(int(lower) for lower in line.removeprefix(BANDS_KEY).split(","))
    raise PermanentError(f"The GVCF header lacks {BANDS_KEY}; blocks cannot be joined. Call the shards again.")


def has_gatk_blocks(header: Sequence[str]) -> bool:
    """Whether a GVCF's reference blocks are GATK's, with `<NON_REF>` as ALT."""
    return any(line.startswith("##ALT=<ID=NON_REF,") for line in header)
