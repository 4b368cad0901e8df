"""The counts that must balance before anything is released."""

from typing import Any

import pytest

from shared.domain.ids import AnalysisId
from shared.domain.ledger import SampleReads, balance, check_reads, check_shards
from shared.domain.markers import AlignedMarker, CalledMarker, ChunkMarker, OutputFile, ShardPart, SplitMarker
from shared.domain.work import ChunkKey
from shared.errors import LedgerError, PermanentError
from tests.factories import NOON, make_plan

COMMON: dict[str, Any] = {"analysis": AnalysisId("0" * 24), "started": NOON, "ended": NOON, "core_seconds": 0.0}
PLAN = make_plan(groups=("L1",), contigs=(("chr1", 1_000),), shard_bp=500)
OUTPUT = OutputFile(container="work", name="x", size=1, md5="0" * 32)


def split(pairs: int, chunks: int) -> SplitMarker:
    return SplitMarker(read_group="L1", pairs=pairs, chunks=chunks, **COMMON)


def chunk(number: int, first_pair: int, pairs: int) -> ChunkMarker:
    return ChunkMarker(
        read_group="L1", number=number, first_pair=first_pair, pairs=pairs, first_name="a", last_name="b", **COMMON
    )


def aligned(number: int, pairs: int, *owned: tuple[int, int], **change: Any) -> AlignedMarker:
    parts = tuple(
        ShardPart(shard=shard, output=OUTPUT, owned=records, owned_primary=primary)
        for shard, (records, primary) in enumerate(owned)
    )
    values = {"pairs": pairs, "primary": 2 * pairs, "records": 0, "parts": parts, **change}
    return AlignedMarker(read_group="L1", number=number, **values, **COMMON)


def called(shard: int, records: int, primary: int) -> CalledMarker:
    return CalledMarker(shard=shard, records=records, primary=primary, variants=0, gvcf_records=0, **COMMON)


SPLITS = {"L1": split(30, 2)}
CHUNKS = {ChunkKey("L1", 0): chunk(0, 0, 20), ChunkKey("L1", 1): chunk(1, 20, 10)}
ALIGNED = {
    ChunkKey("L1", 0): aligned(0, 20, (26, 25), (15, 15)),  # one supplementary alignment
    ChunkKey("L1", 1): aligned(1, 10, (10, 10), (10, 10)),
}
CALLED = {0: called(0, 36, 35), 1: called(1, 25, 25)}


def test_counts_that_balance_give_the_samples_pairs() -> None:
    assert check_reads(PLAN, SPLITS, CHUNKS, ALIGNED) == SampleReads(pairs=30)
    check_shards(PLAN, list(ALIGNED.values()), CALLED, SampleReads(pairs=30))


@pytest.mark.parametrize(
    ("splits", "chunks", "aligned_markers", "message"),
    [
        ({"L1": split(30, 3)}, CHUNKS, ALIGNED, r"chunks .*: 3 in split\.json of read group L1, 2 in chunk markers"),
        ({"L1": split(31, 2)}, CHUNKS, ALIGNED, r"read pairs .*: 31 in split\.json of read group L1, 30 in its chunk"),
        (
            SPLITS,
            {**CHUNKS, ChunkKey("L1", 1): chunk(1, 21, 10)},
            ALIGNED,
            r"20 in the chunks before L1/1, 21 in the chunk's first pair",
        ),
        (
            SPLITS,
            CHUNKS,
            {ChunkKey("L1", 0): ALIGNED[ChunkKey("L1", 0)]},
            r"10 in chunk L1/1, 0 in its aligned marker",
        ),
        (
            SPLITS,
            CHUNKS,
            {**ALIGNED, ChunkKey("L1", 1): aligned(1, 9, (9, 9), (9, 9))},
            r"10 in chunk L1/1, 9 in its aligned marker",
        ),
        (
            SPLITS,
            CHUNKS,
            {**ALIGNED, ChunkKey("L1", 1): aligned(1, 10, (10, 10), (10, 10), primary=19)},
            r"primary alignments .*: 20 in twice the pairs, 19 in aligned marker L1/1",
        ),
        (
            SPLITS,
            CHUNKS,
            {**ALIGNED, ChunkKey("L1", 1): aligned(1, 10, (10, 10), (9, 9))},
            r"20 in aligned marker L1/1, 19 in its shard parts",
        ),
    ],
)
def test_reads_that_are_lost_or_doubled_on_the_way_are_found(
    splits: Any, chunks: Any, aligned_markers: Any, message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        check_reads(PLAN, splits, chunks, aligned_markers)


@pytest.mark.parametrize(
    ("called_markers", "pairs", "message"),
    [
        ({0: CALLED[0]}, 30, "shards .*: 2 in the plan, 1 in called markers"),
        ({**CALLED, 1: called(1, 24, 25)}, 30, "25 in parts of shard 1, 24 in its called marker"),
        ({**CALLED, 1: called(1, 25, 24)}, 30, "60 in twice the sample's read pairs, 59 in the called markers"),
        (CALLED, 31, "62 in twice the sample's read pairs, 60 in the called markers"),
    ],
)
def test_alignments_that_are_lost_or_doubled_between_chunks_and_shards_are_found(
    called_markers: dict[int, CalledMarker], pairs: int, message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        check_shards(PLAN, list(ALIGNED.values()), called_markers, SampleReads(pairs))


def test_a_ledger_that_does_not_balance_is_permanent_and_says_whose_fault_it_is() -> None:
    with pytest.raises(
        PermanentError, match=r"1,000 in here, 999 in there\. Nothing was released\..*not of your files"
    ):
        balance("read pairs", 1_000, "here", 999, "there")
    balance("read pairs", 5, "here", 5, "there")


def single_end_plan() -> Any:
    group = PLAN.read_groups[0].model_copy(update={"r2": None})
    return PLAN.model_copy(update={"read_groups": (group, make_plan(groups=("L2",)).read_groups[0])})


def test_a_single_end_read_has_one_primary_alignment() -> None:
    plan = single_end_plan()
    markers = {key: marker.model_copy(update={"primary": marker.pairs}) for key, marker in ALIGNED.items()}
    halves = {
        ChunkKey("L1", 0): aligned(0, 20, (10, 10), (10, 10), primary=20),
        ChunkKey("L1", 1): aligned(1, 10, (5, 5), (5, 5), primary=10),
    }
    assert check_reads(plan, SPLITS, CHUNKS, halves) == SampleReads(pairs=0, single_reads=30)
    with pytest.raises(LedgerError, match="20 in aligned marker L1/0, 40 in its shard parts"):
        check_reads(plan, SPLITS, CHUNKS, markers)
    with pytest.raises(LedgerError, match="20 in the single-end reads, 40 in aligned marker L1/0"):
        check_reads(plan, SPLITS, CHUNKS, ALIGNED)
    with pytest.raises(LedgerError, match=r"ledger of single-end reads .*: 31 in split"):
        check_reads(plan, {"L1": split(31, 2)}, CHUNKS, halves)
    shards = {0: called(0, 15, 15), 1: called(1, 15, 15)}
    check_shards(plan, list(halves.values()), shards, SampleReads(0, 30))
    with pytest.raises(LedgerError, match="32 in twice the sample's read pairs and its single-end reads, 30 in"):
        check_shards(plan, list(halves.values()), shards, SampleReads(1, 30))


def test_pairs_and_single_end_reads_of_a_sample_add_up() -> None:
    other = SplitMarker(read_group="L2", pairs=5, chunks=1, **COMMON)
    chunk_2 = ChunkMarker(read_group="L2", number=0, first_pair=0, pairs=5, first_name="a", last_name="b", **COMMON)
    aligned_2 = aligned(0, 5, (5, 5), (5, 5)).model_copy(update={"read_group": "L2"})
    halves = {
        ChunkKey("L1", 0): aligned(0, 20, (10, 10), (10, 10), primary=20),
        ChunkKey("L1", 1): aligned(1, 10, (5, 5), (5, 5), primary=10),
        ChunkKey("L2", 0): aligned_2,
    }
    found = check_reads(single_end_plan(), {**SPLITS, "L2": other}, {**CHUNKS, ChunkKey("L2", 0): chunk_2}, halves)
    assert found == SampleReads(pairs=5, single_reads=30)
    assert found.count == 40
