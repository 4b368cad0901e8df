"""Sets of intervals agree with sets of positions."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.genome import Contig, Interval
from shared.domain.intervals import intersected, length_bp, merged, subtracted, widened

CONTIGS = (Contig("b", 40), Contig("a", 30))
pieces = st.builds(
    lambda contig, start, size: Interval(contig.name, start, min(contig.length, start + size)),
    st.sampled_from(CONTIGS),
    st.integers(0, 28),
    st.integers(1, 12),
)
sets = st.lists(pieces, max_size=8)


def positions(intervals):
    return {(one.contig, at) for one in intervals for at in range(one.start, one.end)}


def is_set(intervals) -> bool:
    """In reference order, neither overlapping nor touching."""
    rank = {"b": 0, "a": 1}
    pairs = itertools.pairwise(intervals)
    return all(
        (rank[one.contig], one.end) < (rank[two.contig], two.start) or rank[one.contig] < rank[two.contig]
        for one, two in pairs
    )


@settings(deadline=None)
@given(sets, sets)
def test_sets_of_intervals_are_sets_of_positions(first, second):
    one, two = merged(first, CONTIGS), merged(second, CONTIGS)
    assert is_set(one)
    assert positions(one) == positions(first)
    both, rest = intersected(one, two), subtracted(one, two)
    assert positions(both) == positions(one) & positions(two)
    assert positions(rest) == positions(one) - positions(two)
    assert is_set(both)
    assert is_set(rest)
    assert length_bp(both) + length_bp(rest) == length_bp(one)


@settings(deadline=None)
@given(sets, st.integers(0, 5), st.integers(0, 5))
def test_widening_stays_on_the_contig(intervals, before, after):
    length = {contig.name: contig.length for contig in CONTIGS}
    wide = widened(intervals, before, after, CONTIGS)
    assert is_set(wide)
    assert positions(wide) == {
        (contig, at + shift)
        for contig, at in positions(intervals)
        for shift in range(-before, after + 1)
        if 0 <= at + shift < length[contig]
    }
