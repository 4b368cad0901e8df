"""The counts that must balance before anything is released. Pure; markers in, LedgerError out."""

from collections.abc import Mapping, Sequence

from shared.domain.genome import check_cover
from shared.domain.markers import (
    AlignedMarker,
    CalledMarker,
    ChunkMarker,
    SplitMarker,
)
from shared.domain.plan import Plan
from shared.domain.work import ChunkKey
from shared.errors import LedgerError


def balance(what: str, left: int, left_place: str, right: int, right_place: str) -> None:
    """Refuse two counts that differ, naming both and where they were counted."""
    if left != right:
        raise LedgerError(
            f"The ledger of {what} does not balance: {left:,} in {left_place}, {right:,} in {right_place}. "
            "Nothing was released. This is a fault of the pipeline or of its storage, not of your files; "
            "report it with the analysis id."
        )


def check_reads(
    splits: Mapping[str, SplitMarker],
    chunks: Mapping[ChunkKey, ChunkMarker],
    aligned: Mapping[ChunkKey, AlignedMarker],
) -> int:
    """Follow the read pairs of a sample from the FASTQ files to the alignments.

    Returns:
        The sample's read pairs.
    """
    for group, split in splits.items():
        mine = {key: marker for key, marker in chunks.items() if key.read_group == group}
        balance(
            "chunks",
            split.chunks,
            f"split.json of read group {group}",
            len(mine),
            "chunk markers of the group",
        )
        balance(
            "read pairs",
            split.pairs,
            f"split.json of read group {group}",
            sum(marker.pairs for marker in mine.values()),
            "its chunk markers",
        )
        reached = 0
        for key in sorted(mine):
            balance(
                "read pairs",
                reached,
                f"the chunks before {key.read_group}/{key.number}",
                mine[key].first_pair,
                "the chunk's first pair",
            )
            reached += mine[key].pairs
    for key, chunk in chunks.items():
        marker = aligned.get(key)
        balance(
            "read pairs",
            chunk.pairs,
            f"chunk {key.read_group}/{key.number}",
            marker.pairs if marker else 0,
            "its aligned marker",
        )
        if marker:
            balance(
                "primary alignments",
                2 * marker.pairs,
                "twice the pairs",
                marker.primary,
                f"aligned marker {key.read_group}/{key.number}",
            )
            balance(
                "primary alignments",
                marker.primary,
                f"aligned marker {key.read_group}/{key.number}",
                sum(part.owned_primary for part in marker.parts),
                "its shard parts",
            )
    return sum(split.pairs for split in splits.values())


def check_shards(plan: Plan, aligned: Sequence[AlignedMarker], called: Mapping[int, CalledMarker], pairs: int) -> None:
    """Follow the alignments into the shards, and the shards over the genome."""
    shards = plan.shards
    check_cover(plan.contigs, shards)
    balance("shards", len(shards), "the plan", len(called), "called markers")
    for shard in shards:
        marker = called[shard.number]
        owned = [part for one in aligned for part in one.parts if part.shard == shard.number]
        balance(
            "alignments",
            sum(part.owned for part in owned),
            f"parts of shard {shard.number}",
            marker.records,
            "its called marker",
        )
    balance(
        "primary alignments",
        2 * pairs,
        "twice the sample's read pairs",
        sum(marker.primary for marker in called.values()),
        "the called markers",
    )
