"""Counts of the surely placed reads that start in some places of the genome; they add up over batches and chunks."""

from collections.abc import Mapping, Sequence

import numpy as np

from batch_worker.engine.packed import NOT_PRIMARY, QC_FAIL, UNMAPPED, Cover
from shared.domain.genome import Contig, Interval
from shared.domain.karyotype import SURE_MAPQ


class PlaceCounts:
    """Primary mapped records of at least `SURE_MAPQ` by the place that they start in, duplicates included."""

    def __init__(self, places: Mapping[str, Sequence[Interval]], contigs: Sequence[Contig]) -> None:
        self._covers = {name: Cover(intervals, contigs) for name, intervals in places.items() if intervals}
        self.counts = dict.fromkeys(places, 0)

    def add(self, head: np.ndarray) -> None:
        """Count records by their fixed fields (dtype `packed.FIXED`)."""
        if not self._covers:
            return
        sure = (head["flag"] & (NOT_PRIMARY | UNMAPPED | QC_FAIL) == 0) & (head["mapq"] >= SURE_MAPQ)
        ref, start = head["ref"][sure], head["pos"][sure].astype(np.int64)
        for name, cover in self._covers.items():
            self.counts[name] += int(cover.holds(cover.linear(ref, start)).sum())
