"""Cut the caller's GVCF to the shard: variants by POS, reference blocks exactly at the border.

The caller walked over the shard and half its halo. A block that crosses a border has a MIN_DP over positions on both
sides, so the depth of each position on our side is asked of the caller again, over a window wide enough that it sees
there what it saw before.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.domain.genome import Interval
from shared.errors import PermanentError
from shared.formats.gvcf import ReferenceBlock, band, parse_block


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of a block that crosses a border; the piece lies in the shard.

    Attributes:
        block: The whole block.
        piece: Of it, 0-based half-open.
        hides_next: Whether an indel record follows at the position behind the piece. The caller then leaves that
            position out of the block, but has counted its depth in MIN_DP if it is of the same depth band.
    """

    block: ReferenceBlock
    piece: Interval
    hides_next: bool


class Owner:
    """The intervals of a shard, to be asked about many places."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._by_contig: dict[str, list[Interval]] = {}
        for interval in intervals:
            self._by_contig.setdefault(interval.contig, []).append(interval)
        for own in self._by_contig.values():
            own.sort(key=lambda interval: interval.start)
        self._starts = {contig: [i.start for i in own] for contig, own in self._by_contig.items()}

    def holds(self, contig: str, start: int, end: int) -> bool:
        """Whether a stretch (0-based half-open) shares a base with the intervals."""
        return next(self.pieces(contig, start, end), None) is not None

    def pieces(self, contig: str, start: int, end: int) -> Iterator[Interval]:
        """The parts of a stretch (0-based half-open) that the shard owns."""
        own = self._by_contig.get(contig, [])
        at = max(0, bisect_right(self._starts.get(contig, []), start) - 1)
        while at < len(own) and own[at].start < end:
            if own[at].end > start:
                yield Interval(contig, max(start, own[at].start), min(end, own[at].end))
            at += 1


def _reach(line: str) -> tuple[str, int, int, bool]:
    """Contig, 0-based start, half-open end (for a variant: of POS alone), and whether it is a reference block."""
    contig, pos, _, _, alt, _, _, rest = line.split("\t", 7)
    start = int(pos) - 1
    if alt == "." and rest.startswith("END="):
        return contig, start, int(rest[4 : rest.index(";")]), True
    return contig, start, start + 1, alt == "."


def crossing(lines: Iterable[str], owner: Owner) -> list[Cut]:
    """The pieces of blocks that lie in the shard while their block also lies outside, in order."""
    cuts: list[Cut] = []
    for line in lines:
        contig, start, end, is_block = _reach(line)
        if cuts and not is_block and cuts[-1].piece.contig == contig and cuts[-1].piece.end == start:
            is_indel = line.split("\t", 8)[7].startswith("INDEL")
            cuts[-1] = replace(cuts[-1], hides_next=is_indel or cuts[-1].hides_next)
        if is_block:
            pieces = [piece for piece in owner.pieces(contig, start, end) if piece.length != end - start]
            cuts.extend(Cut(_block(line), piece, hides_next=False) for piece in pieces)
    return cuts


def _block(line: str) -> ReferenceBlock:
    """The reference block of a line that is one."""
    block = parse_block(line)
    assert block is not None
    return block


def recount(cut: Cut, letter: str, depths: Mapping[tuple[str, int], int], depth_bands: Sequence[int]) -> ReferenceBlock:
    """The piece as a block of its own.

    Args:
        cut: The piece.
        letter: Reference base at its start.
        depths: FORMAT/DP by (contig, 0-based position).
        depth_bands: That blocks were made with.

    Raises:
        PermanentError: When the depth of a position is unknown.
    """
    piece, block = cut.piece, cut.block
    lowest = min(_depth(depths, piece.contig, place) for place in range(piece.start, piece.end))
    if cut.hides_next:
        hidden = depths.get((piece.contig, piece.end))
        if hidden is not None and band(depth_bands, hidden) == band(depth_bands, block.min_depth):
            lowest = min(lowest, hidden)
    return replace(block, start=piece.start, end=piece.end, ref=letter, min_depth=lowest)


def changed_end(line: str) -> int:
    """The half-open end (0-based) of what a variant as called changes: POS, and the bases behind it that it deletes.

    REF of an indel may be longer: it holds the whole repeat that the indel lies in.
    """
    _, pos, _, ref, alts, _ = line.split("\t", 5)
    return int(pos) + max(0, len(ref) - min(len(alt) for alt in alts.split(",")))


def trim(
    lines: Iterable[str],
    owner: Owner,
    blocks: Mapping[Interval, ReferenceBlock],
    *,
    reported: Owner | None = None,
    targets: Owner | None = None,
) -> Iterator[str]:
    """The GVCF lines that the shard owns; a block that crosses a border becomes its pieces.

    Args:
        lines: Without line ends.
        owner: The shard's intervals: a variant is its own by POS.
        blocks: What each crossing piece becomes, from `recount`.
        reported: Where blocks are told; the shard's intervals when left out.
        targets: A variant is told when it changes a base of these; when left out, every variant is.
    """
    for line in lines:
        contig, start, end, is_block = _reach(line)
        if is_block:
            for piece in (reported or owner).pieces(contig, start, end):
                yield line if piece.length == end - start else blocks[piece].line()
        elif owner.holds(contig, start, end) and (targets is None or targets.holds(contig, start, changed_end(line))):
            yield line


def _depth(depths: Mapping[tuple[str, int], int], contig: str, place: int) -> int:
    """The depth of one position, which the second walk must have seen."""
    depth = depths.get((contig, place))
    if depth is None:
        raise PermanentError(
            f"The caller reported a reference block over {contig}:{place + 1} but no depth there when asked again. "
            "The halo is probably shorter than three times the reads; use a wider one."
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
