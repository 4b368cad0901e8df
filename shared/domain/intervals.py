"""Sets of intervals on a genome: merged, widened, intersected. Pure; 0-based half-open, as `genome.Interval`.

A set is a tuple in reference order whose members neither overlap nor touch; each function takes and gives such sets,
but for `merged`, which makes them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from shared.domain.genome import Contig, Interval

Intervals = tuple[Interval, ...]


def merged(intervals: Iterable[Interval], contigs: Sequence[Contig]) -> Intervals:
    """The set of what lies in any of the intervals; on contigs of the reference, in any order."""
    rank = {contig.name: i for i, contig in enumerate(contigs)}
    out: list[Interval] = []
    for one in sorted(intervals, key=lambda interval: (rank[interval.contig], interval.start)):
        last = out[-1] if out else None
        if last is not None and last.contig == one.contig and one.start <= last.end:
            if one.end > last.end:
                out[-1] = Interval(last.contig, last.start, one.end)
        else:
            out.append(one)
    return tuple(out)


def widened(intervals: Iterable[Interval], before_bp: int, after_bp: int, contigs: Sequence[Contig]) -> Intervals:
    """The set with so many bp more before and behind each member, clipped to the contigs."""
    length = {contig.name: contig.length for contig in contigs}
    wide = (
        Interval(one.contig, max(0, one.start - before_bp), min(length[one.contig], one.end + after_bp))
        for one in intervals
    )
    return merged(wide, contigs)


def intersected(first: Sequence[Interval], second: Sequence[Interval]) -> Intervals:
    """What lies in both sets, in the order of the first; costs the first's size plus what it meets of the second."""
    by_contig = _by_contig(second)
    out: list[Interval] = []
    for one in first:
        others, ends = by_contig.get(one.contig, ([], []))
        at = bisect_left(ends, one.start + 1)
        while at < len(others) and others[at].start < one.end:
            out.append(Interval(one.contig, max(one.start, others[at].start), min(one.end, others[at].end)))
            at += 1
    return tuple(out)


def subtracted(first: Sequence[Interval], second: Sequence[Interval]) -> Intervals:
    """What lies in the first set and not in the second."""
    out: list[Interval] = []
    for one in first:
        start = one.start
        for hole in intersected((one,), second):
            if hole.start > start:
                out.append(Interval(one.contig, start, hole.start))
            start = hole.end
        if start < one.end:
            out.append(Interval(one.contig, start, one.end))
    return tuple(out)


def length_bp(intervals: Iterable[Interval]) -> int:
    """Length in all, bp."""
    return sum(interval.length for interval in intervals)


def _by_contig(intervals: Iterable[Interval]) -> Mapping[str, tuple[list[Interval], list[int]]]:
    """The members on each contig, and their ends."""
    found: dict[str, tuple[list[Interval], list[int]]] = {}
    for one in intervals:
        members, ends = found.setdefault(one.contig, ([], []))
        members.append(one)
        ends.append(one.end)
    return found
