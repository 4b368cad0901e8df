"""Where a shard is called, with how many copies, and what its files and figures tell of."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.genome import Contig, Interval, Shard
from shared.domain.intervals import Intervals, intersected, merged, widened
from shared.domain.karyotype import CallRegion


@dataclass(frozen=True, slots=True)
class CallPlaces:
    """A shard by ploidy and targets.

    Attributes:
        regions: What is called; at least one, which may hold no interval: a header is needed all the same.
        targets: What calls are limited to, of the shard and its halo; None: everything.
        reported: What blocks and depth are told of: the regions' part of the targets.
    """

    regions: tuple[CallRegion, ...]
    targets: Intervals | None
    reported: Intervals

    def reported_in(self, region: CallRegion) -> Intervals:
        """The part of a region that blocks are told of."""
        return region.intervals if self.targets is None else intersected(region.intervals, self.targets)


def call_places(
    shard: Shard,
    contigs: Sequence[Contig],
    halo_bp: int,
    *,
    ploidy: int,
    regions: Sequence[CallRegion] | None,
    targets: Sequence[Interval] | None,
) -> CallPlaces:
    """Find the places of a shard.

    Args:
        shard: Which part of the genome.
        contigs: Of the reference, in order.
        halo_bp: How far outside the shard targets matter, bp.
        ploidy: Of the whole shard when no regions are given.
        regions: The shard by ploidy; what is in none or has ploidy 0 is not called.
        targets: Intervals that neither overlap nor touch, of the shard and at least its halo.
    """
    if regions is None:
        called = [CallRegion(ploidy, shard.intervals)]
    else:
        called = [region for region in regions if region.ploidy and region.intervals] or [CallRegion(ploidy, ())]
    near = None if targets is None else intersected(targets, widened(shard.intervals, halo_bp, halo_bp, contigs))
    covered = merged((interval for region in called for interval in region.intervals), contigs)
    return CallPlaces(tuple(called), near, covered if near is None else intersected(covered, near))
