"""Contigs, intervals and shards; 0-based half-open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.genome import Contig, Interval, Shard, check_cover, cut_shards
from shared.errors import PermanentError

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=8)


def contigs_of(sizes: list[int]) -> list[Contig]:
    return [Contig(f"chr{number}", length) for number, length in enumerate(sizes)]


@pytest.mark.parametrize(("name", "length"), [("", 10), ("chr1", 0), ("chr1", -1)])
def test_a_contig_without_name_or_bases_is_refused(name: str, length: int) -> None:
    with pytest.raises(PermanentError, match=r"a contig needs a name and at least 1 bp"):
        Contig(name, length)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (-1, 5)])
def test_an_empty_or_negative_interval_is_refused(start: int, end: int) -> None:
    with pytest.raises(PermanentError, match=rf"chr1:{start}-{end} \(0-based half-open\) is empty or negative"):
        Interval("chr1", start, end)


@pytest.mark.parametrize(
    ("start", "end", "padded"),
    [
        (100, 200, (90, 210)),
        (5, 200, (0, 210)),  # clipped at the contig's start
        (100, 295, (90, 300)),  # clipped at its end
        (0, 300, (0, 300)),
    ],
)
def test_a_halo_stays_inside_the_contig(start: int, end: int, padded: tuple[int, int]) -> None:
    wide = Interval("chr1", start, end).padded(10, 300)
    assert (wide.start, wide.end) == padded


def test_a_long_contig_is_cut_and_short_ones_share_a_shard() -> None:
    shards = cut_shards(contigs_of([250, 30, 20]), 100)
    assert [[(i.contig, i.start, i.end) for i in shard.intervals] for shard in shards] == [
        [("chr0", 0, 100)],
        [("chr0", 100, 200)],
        [("chr0", 200, 250), ("chr1", 0, 30), ("chr2", 0, 20)],
    ]
    assert [shard.is_last for shard in shards] == [False, False, True]


@given(sizes=lengths, shard_bp=st.integers(1, 400))
def test_shards_cover_every_base_exactly_once_in_order(sizes: list[int], shard_bp: int) -> None:
    contigs = contigs_of(sizes)
    shards = cut_shards(contigs, shard_bp)
    covered = [(i.contig, at) for shard in shards for i in shard.intervals for at in range(i.start, i.end)]
    assert covered == [(contig.name, at) for contig in contigs for at in range(contig.length)]
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [shard.length for shard in shards[:-1]] == [shard_bp] * (len(shards) - 1)
    assert 0 < shards[-1].length <= shard_bp
    assert [shard.is_last for shard in shards] == [False] * (len(shards) - 1) + [True]
    check_cover(contigs, shards)


@given(sizes=lengths, shard_bp=st.integers(1, 400), data=st.data())
def test_a_missing_or_doubled_shard_is_found(sizes: list[int], shard_bp: int, data: st.DataObject) -> None:
    contigs = contigs_of(sizes)
    shards = cut_shards(contigs, shard_bp)
    at = data.draw(st.integers(0, len(shards) - 1))
    for wrong in (shards[:at] + shards[at + 1 :], shards[: at + 1] + shards[at:]):
        with pytest.raises(PermanentError, match="must cover the genome exactly once"):
            check_cover(contigs, wrong)


def test_a_shard_of_an_unknown_contig_or_beyond_the_end_is_found() -> None:
    contigs = contigs_of([100])
    for interval in (Interval("chrX", 0, 100), Interval("chr0", 0, 101), Interval("chr0", 0, 99)):
        with pytest.raises(PermanentError, match="must cover the genome exactly once"):
            check_cover(contigs, [Shard(0, (interval,), is_last=True)])


def test_impossible_cuts_are_refused() -> None:
    with pytest.raises(PermanentError, match="set the shard size to 1 bp or more"):
        cut_shards(contigs_of([10]), 0)
    with pytest.raises(PermanentError, match="has no contigs; make the reference bundle again"):
        cut_shards([], 10)
