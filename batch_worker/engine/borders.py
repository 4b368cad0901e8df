"""Cut the caller's GVCF, made over a shard and half its halo, to the shard: variants by POS, blocks exactly at the border.

A block that crosses a border has a MIN_DP over positions on both sides. The depth of each position on our side is asked
of the caller again, over a window wide enough that it sees there what it saw before.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.genome import Interval
from shared.errors import PermanentError
from shared.formats.gvcf import ReferenceBlock, parse_block


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of a block that crosses a border; the piece lies in the shard."""

    block: ReferenceBlock
    piece: Interval


class Owner:
    """The intervals of a shard, to be asked about many places."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._by_contig: dict[str, list[Interval]] = {}
        for interval in intervals:
            self._by_contig.setdefault(interval.contig, []).append(interval)
        for own in self._by_contig.values():
            own.sort(key=lambda interval: interval.start)
        self._starts = {contig: [i.start for i in own] for contig, own in self._by_contig.items()}

    def pieces(self, contig: str, start: int, end: int) -> Iterator[Interval]:
        """The parts of a stretch (0-based half-open) that the shard owns."""
        own = self._by_contig.get(contig, [])
        at = max(0, bisect_right(self._starts.get(contig, []), start) - 1)
        while at < len(own) and own[at].start < end:
            if own[at].end > start:
                yield Interval(contig, max(start, own[at].start), min(end, own[at].end))
            at += 1


def crossing(lines: Iterable[str], owner: Owner) -> Iterator[Cut]:
    """The pieces of blocks that lie in the shard while their block also lies outside."""
    for line in lines:
        block = parse_block(line)
        if block is None:
            continue
        for piece in owner.pieces(block.contig, block.start, block.end):
            if piece.length != block.end - block.start:
                yield Cut(block, piece)


def trim(
    lines: Iterable[str], owner: Owner, depths: Mapping[tuple[str, int], int], letters: Mapping[Interval, str]
) -> Iterator[str]:
    """The GVCF lines that the shard owns; crossing blocks become their pieces.

    Args:
        lines: Without line ends.
        owner: The shard's intervals.
        depths: FORMAT/DP by (contig, 0-based position), for every position of every crossing piece.
        letters: Reference base at the start of each crossing piece.
    """
    for line in lines:
        block = parse_block(line)
        if block is None:
            contig, pos, _ = line.split("\t", 2)
            if any(owner.pieces(contig, int(pos) - 1, int(pos))):
                yield line
            continue
        for piece in owner.pieces(block.contig, block.start, block.end):
            if piece.length == block.end - block.start:
                yield line
                continue
            lowest = min(_depth(depths, piece.contig, place) for place in range(piece.start, piece.end))
            ref = block.ref if piece.start == block.start else letters[piece]
            yield replace(block, start=piece.start, end=piece.end, ref=ref, min_depth=lowest).line()


def _depth(depths: Mapping[tuple[str, int], int], contig: str, place: int) -> int:
    """The depth of one position, which the second walk must have seen."""
    depth = depths.get((contig, place))
    if depth is None:
        raise PermanentError(
            f"The caller reported a reference block over {contig}:{place + 1} but no depth there when asked again. "
            "The halo is probably shorter than twice the reads; use a wider one."
        )
    return depth


def parse_depths(lines: Iterable[str]) -> Iterator[tuple[tuple[str, int], int]]:
    """FORMAT/DP by (contig, 0-based position) from mpileup's VCF lines; indel records are left out."""
    for line in lines:
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if columns[7].startswith("INDEL"):
            continue
        depth = columns[9].rstrip("\n").split(":")[columns[8].split(":").index("DP")]
        yield (columns[0], int(columns[1]) - 1), int(depth)


def windows(cuts: Sequence[Cut], margin_bp: int, lengths: Mapping[str, int]) -> list[Interval]:
    """The crossing pieces, widened on each side and merged, in the order of the pieces."""
    merged: list[Interval] = []
    for cut in cuts:
        wide = cut.piece.padded(margin_bp, lengths[cut.piece.contig])
        if merged and merged[-1].contig == wide.contig and wide.start <= merged[-1].end:
            merged[-1] = Interval(wide.contig, merged[-1].start, max(wide.end, merged[-1].end))
        else:
            merged.append(wide)
    return merged
