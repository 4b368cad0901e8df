"""Reference blocks made of depth where nothing was piled up, and their union with the caller's GVCF.

Where the windows end, one block of the whole may have become two; they are joined again.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.depth import fetch
from batch_worker.engine.evidence import Evidence
from shared.domain.genome import Interval
from shared.formats.gvcf import ReferenceBlock, join, parse_block


def can_group(depth_bands: Sequence[int]) -> bool:
    """Whether depth alone says how positions group: depth 0, whose genotype is unknown, must be a band of its own."""
    return tuple(depth_bands[:2]) == (0, 1)


def widen_over_runs(evidence: Evidence, depth_bands: Sequence[int]) -> None:
    """Add to the windows every stretch of one depth band that holds a position where every base may be an N.

    Such a position has no genotype, and the caller gives a block the genotype of its least certain position.
    """
    if not evidence.unnamed.any():
        return
    bands = _band_of_depth(depth_bands)[evidence.depth]
    # Depth is unknown inside windows: they are taken as part of the stretch.
    breaks = (bands[1:] != bands[:-1]) & ~evidence.windows[1:] & ~evidence.windows[:-1]
    stretch = np.concatenate([[0], np.cumsum(breaks)])
    evidence.windows[np.isin(stretch, stretch[evidence.unnamed])] = True


def blocks_outside(
    evidence: Evidence, owned: Interval, reference: Path, depth_bands: Sequence[int], ploidy: int
) -> Iterator[ReferenceBlock]:
    """The reference blocks of `owned` (a part of the interval) outside of the windows, cut where windows begin."""
    here = slice(owned.start - evidence.interval.start, owned.end - evidence.interval.start)
    depth = evidence.depth[here]
    band = np.where(evidence.windows[here] | (depth == 0), -1, _band_of_depth(depth_bands)[depth])
    starts = np.flatnonzero(np.concatenate([[True], band[1:] != band[:-1]]))
    ends = np.concatenate([starts[1:], [owned.length]])
    lowest = np.minimum.reduceat(depth, starts)
    kept = band[starts] >= 0
    letters = fetch(reference, owned).decode().upper()
    genotype = "/".join(["0"] * ploidy)
    columns = (starts[kept].tolist(), ends[kept].tolist(), lowest[kept].tolist())
    for start, end, least in zip(*columns, strict=True):
        yield ReferenceBlock(owned.contig, owned.start + start, owned.start + end, letters[start], least, genotype)


def unite(
    lines: Iterable[str], blocks: Iterable[ReferenceBlock], order: Sequence[str], depth_bands: Sequence[int]
) -> Iterator[str]:
    """The caller's GVCF lines and the blocks outside of its windows, by place.

    Args:
        lines: Of the windows, without line ends.
        blocks: Of the rest.
        order: The contigs.
        depth_bands: That both were made with.
    """
    rank = {contig: i for i, contig in enumerate(order)}
    waiting: ReferenceBlock | None = None
    waits_outside = False
    for entry in merge(_called(lines, rank), _outside(blocks, rank)):
        block = entry.block
        joined = None
        if waiting is not None and block is not None and entry.outside != waits_outside and block.start == waiting.end:
            joined = join(waiting, block, depth_bands)
        if waiting is not None and joined is None:
            yield waiting.line()
        if block is None:
            yield entry.line
        waiting, waits_outside = joined or block, entry.outside
    if waiting is not None:
        yield waiting.line()


class _Entry(NamedTuple):
    """One record to be united: a block, or else a line. Entries of the two kinds differ in the first three values."""

    contig: int
    start: int
    outside: bool
    line: str
    block: ReferenceBlock | None


def _called(lines: Iterable[str], rank: dict[str, int]) -> Iterator[_Entry]:
    for line in lines:
        contig, pos, _ = line.split("\t", 2)
        yield _Entry(rank[contig], int(pos) - 1, False, line, parse_block(line))


def _outside(blocks: Iterable[ReferenceBlock], rank: dict[str, int]) -> Iterator[_Entry]:
    for block in blocks:
        yield _Entry(rank[block.contig], block.start, True, "", block)


def _band_of_depth(depth_bands: Sequence[int]) -> NDArray[np.int16]:
    """The number of the band of each depth below 256; -1 below the first."""
    return (np.searchsorted(depth_bands, np.arange(256), side="right") - 1).astype(np.int16)
