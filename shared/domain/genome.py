"""Contigs, intervals and shards of a reference genome.

All coordinates here are 0-based half-open (as in BED): `start` is included, `end` is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Contig:
    """A sequence of the reference.

    Attributes:
        name: The name in the FASTA, as in SAM @SQ SN.
        length: Length in bp.
        md5: MD5 of the upper-case sequence, hex, as in SAM @SQ M5; empty when unknown.
        accession: Versioned RefSeq accession such as ``NC_000017.11``; empty when unknown.
    """

    name: str
    length: int
    md5: str = ""
    accession: str = ""

    def __post_init__(self) -> None:
        if not self.name or self.length < 1:
            raise PermanentError(
                f"Contig '{self.name}' has {self.length:,} bp; a contig needs a name and at least 1 bp. "
                "Check the reference FASTA and its .fai."
            )


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of one contig, 0-based half-open, as in BED."""

    contig: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise PermanentError(
                f"Interval {self.contig}:{self.start}-{self.end} (0-based half-open) is empty or negative. "
                "Check the BED or settings that it comes from."
            )

    @property
    def length(self) -> int:
        """Length in bp."""
        return self.end - self.start

    def padded(self, halo_bp: int, contig_length: int) -> "Interval":
        """The interval with `halo_bp` more on each side, clipped to the contig."""
        return Interval(self.contig, max(0, self.start - halo_bp), min(contig_length, self.end + halo_bp))


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of the genome that one call task owns: intervals in reference order.

    A record belongs to the shard that its start lies in. The last shard also owns the unplaced reads.
    """

    number: int
    intervals: tuple[Interval, ...]
    is_last: bool

    @property
    def length(self) -> int:
        """Length in bp."""
        return sum(interval.length for interval in self.intervals)


def cut_shards(contigs: Sequence[Contig], shard_bp: int) -> tuple[Shard, ...]:
    """Cut the genome into shards of `shard_bp` bp, in reference order; small contigs share a shard.

    The shards cover every contig exactly once. Only the last may be shorter than `shard_bp`.
    """
    if shard_bp < 1:
        raise PermanentError(f"A shard of {shard_bp} bp is impossible; set the shard size to 1 bp or more.")
    if not contigs:
        raise PermanentError("The reference has no contigs; make the reference bundle again.")
    groups: list[list[Interval]] = [[]]
    room = shard_bp
    for contig in contigs:
        start = 0
        while start < contig.length:
            if room == 0:
                groups.append([])
                room = shard_bp
            end = min(contig.length, start + room)
            groups[-1].append(Interval(contig.name, start, end))
            room -= end - start
            start = end
    return tuple(
        Shard(number, tuple(intervals), is_last=number == len(groups) - 1) for number, intervals in enumerate(groups)
    )


def check_cover(contigs: Sequence[Contig], shards: Iterable[Shard]) -> None:
    """Refuse shards that do not cover every contig exactly once, in order.

    Raises:
        PermanentError: Naming the first place that is missing or covered twice.
    """
    reached = {contig.name: 0 for contig in contigs}
    for shard in shards:
        for interval in shard.intervals:
            expected = reached.get(interval.contig)
            if expected is None or interval.start != expected:
                raise PermanentError(
                    f"Shard {shard.number} starts at {interval.contig}:{interval.start} (0-based) where "
                    f"{expected} was expected; the shards must cover the genome exactly once."
                )
            reached[interval.contig] = interval.end
    for contig in contigs:
        if reached[contig.name] != contig.length:
            raise PermanentError(
                f"The shards cover {reached[contig.name]:,} of {contig.length:,} bp of contig {contig.name}; "
                "they must cover the genome exactly once."
            )
