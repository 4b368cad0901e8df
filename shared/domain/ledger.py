"""The counts that must balance before anything is released. Pure; markers in, LedgerError out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class SampleReads:
    """The reads of a sample: `pairs` of its paired read groups, `single_reads` of its single-end ones."""

    pairs: int
    single_reads: int = 0

    @property
    def count(self) -> int:
        """All reads; each has one primary alignment."""
        return 2 * self.pairs + self.single_reads


def balance(what: str, left: int, left_place: str, right: int, right_place: str) -> None:
    """Refuse two counts that differ, naming both and where they were counted."""
    if left != right:
        raise LedgerError(
            f"The ledger of {what} does not balance: {left:,} in {left_place}, {right:,} in {right_place}. "
            "Nothing was released. This is a fault of the pipeline or of its storage, not of your files; "
            "report it with the analysis id."
        )


def check_reads(
    plan: Plan,
    splits: Mapping[str, SplitMarker],
    chunks: Mapping[ChunkKey, ChunkMarker],
    aligned: Mapping[ChunkKey, AlignedMarker],
) -> SampleReads:
    """Follow the templates of a sample (read pairs, single-end reads) from the FASTQ files to the alignments."""
    units = {group.id: group.unit for group in plan.read_groups}
    template_reads = {group.id: group.template_reads for group in plan.read_groups}
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
            units[group],
            split.pairs,
            f"split.json of read group {group}",
            sum(marker.pairs for marker in mine.values()),
            "its chunk markers",
        )
        reached = 0
        for key in sorted(mine):
            balance(
                units[group],
                reached,
                f"the chunks before {key.read_group}/{key.number}",
                mine[key].first_pair,
                "the chunk's first pair",
            )
            reached += mine[key].pairs
    for key, chunk in chunks.items():
        marker = aligned.get(key)
        balance(
            units[key.read_group],
            chunk.pairs,
            f"chunk {key.read_group}/{key.number}",
            marker.pairs if marker else 0,
            "its aligned marker",
        )
        if marker:
            balance(
                "primary alignments",
                template_reads[key.read_group] * marker.pairs,
                "twice the pairs" if template_reads[key.read_group] == 2 else f"the {units[key.read_group]}",
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
    return SampleReads(
        pairs=sum(split.pairs for group, split in splits.items() if template_reads[group] == 2),
        single_reads=sum(split.pairs for group, split in splits.items() if template_reads[group] == 1),
    )


def check_shards(
    plan: Plan, aligned: Sequence[AlignedMarker], called: Mapping[int, CalledMarker], reads: SampleReads
) -> None:
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
        reads.count,
        "twice the sample's read pairs" + (" and its single-end reads" if reads.single_reads else ""),
        sum(marker.primary for marker in called.values()),
        "the called markers",
    )
