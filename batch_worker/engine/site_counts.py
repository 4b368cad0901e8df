"""What the reads show at common sites, counted over packed records; mates that both cover a site count once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.packed import (
    DUPLICATE,
    FIRST,
    FIXED,
    MATE_UNMAPPED,
    NOT_PRIMARY,
    PAIRED,
    QC_FAIL,
    UNMAPPED,
    Records,
    cigar_columns,
)
from shared.domain.genome import Contig, Shard
from shared.domain.sites import CommonSite, SiteCounts

MIN_MAPQ = 20
"""Mapping quality (Phred) below which a read may be of another place."""

MIN_BASE_QUALITY = 20
"""Base quality (Phred) below which one base in a hundred or more is wrong."""

_NOT_COUNTED = UNMAPPED | NOT_PRIMARY | QC_FAIL | DUPLICATE
_SITES_AT_ONCE = 512
_CONSUMES_QUERY = np.array([op in "MIS=X" for op in "MIDNSHP=X???????"])
_CONSUMES_REFERENCE = np.array([op in "MDN=X" for op in "MIDNSHP=X???????"])
_IS_ALIGNED = np.array([op in "M=X" for op in "MIDNSHP=X???????"])
_CODES = {"A": 1, "C": 2, "G": 4, "T": 8}  # as BAM writes bases


def sites_of(shard: Shard, sites: Sequence[CommonSite]) -> list[CommonSite]:
    """The sites that lie in a shard, so that each is counted in exactly one."""
    by_contig: dict[str, list[tuple[int, int]]] = {}
    for interval in shard.intervals:
        by_contig.setdefault(interval.contig, []).append((interval.start, interval.end))
    return [site for site in sites if any(start < site.pos <= end for start, end in by_contig.get(site.contig, ()))]


def count_sites(
    records: Records, end: NDArray[np.int64], sites: Sequence[CommonSite], contigs: Sequence[Contig]
) -> list[SiteCounts]:
    """The bases over each site.

    Args:
        records: In coordinate order, duplicates flagged; all that overlap the sites.
        end: Reference end of each record (half-open).
        sites: Where to count.
        contigs: Of the reference, in order.
    """
    head = records.head
    rows = np.flatnonzero((head["flag"] & _NOT_COUNTED == 0) & (head["ref"] >= 0) & (head["mapq"] >= MIN_MAPQ))
    places = head["ref"][rows].astype(np.int64) << 32 | head["pos"][rows]
    longest = int((end[rows] - head["pos"][rows]).max(initial=1))
    number = {contig.name: i for i, contig in enumerate(contigs)}
    found: list[SiteCounts] = []
    for first in range(0, len(sites), _SITES_AT_ONCE):
        some = sites[first : first + _SITES_AT_ONCE]
        contig = np.array([number[site.contig] for site in some], dtype=np.int64) << 32
        at = np.array([site.pos - 1 for site in some], dtype=np.int64)
        low = np.searchsorted(places, contig | np.maximum(at - longest, 0), side="left")
        count = np.maximum(np.searchsorted(places, contig | at, side="right") - low, 0)
        site = np.repeat(np.arange(len(some)), count)
        near = rows[np.arange(len(site)) - np.repeat(np.cumsum(count) - count - low, count)]
        covers = end[near] > at[site]
        found += _count(records, near[covers], site[covers], at[site[covers]], longest, some)
    return found


def _count(
    records: Records,
    rows: NDArray[np.int64],
    site: NDArray[np.int64],
    at: NDArray[np.int64],
    longest: int,
    sites: Sequence[CommonSite],
) -> list[SiteCounts]:
    """Count the records `rows`, each over the site of the same place in `site` and `at` (0-based)."""
    base, quality = _bases(records, rows, at)
    seen = np.flatnonzero((base > 0) & (quality >= MIN_BASE_QUALITY))
    seen = seen[_one_of_mates(records, rows[seen], site[seen], at[seen], quality[seen], longest)]
    base, site = base[seen], site[seen]
    ref = np.array([_CODES[one.ref] for one in sites], dtype=np.int64)[site]
    alt = np.array([_CODES[one.alt] for one in sites], dtype=np.int64)[site]
    refs, alts, all_ = (
        np.bincount(chosen, minlength=len(sites)) for chosen in (site[base == ref], site[base == alt], site)
    )
    return [
        SiteCounts(one, r, a, n - r - a)
        for one, r, a, n in zip(sites, refs.tolist(), alts.tolist(), all_.tolist(), strict=True)
    ]


def _bases(
    records: Records, rows: NDArray[np.int64], at: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Base (as BAM codes it) and quality of each record at a reference position; 0 where none is aligned."""
    head = records.head[rows]
    query = np.full(len(rows), -1, dtype=np.int64)
    reference, read = head["pos"].astype(np.int64), np.zeros(len(rows), dtype=np.int64)
    for some, ops, sizes in cigar_columns(Records(records.buffer, records.offsets[rows], head)):
        inside = _IS_ALIGNED[ops] & (reference[some] <= at[some]) & (at[some] < reference[some] + sizes)
        hit = some[inside]
        query[hit] = read[hit] + at[hit] - reference[hit]
        reference[some] += np.where(_CONSUMES_REFERENCE[ops], sizes, 0)
        read[some] += np.where(_CONSUMES_QUERY[ops], sizes, 0)
    base, quality = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    hit = np.flatnonzero(query >= 0)
    sequence = records.offsets[rows] + FIXED.itemsize + head["name_length"] + 4 * head["cigar_ops"].astype(np.int64)
    place = query[hit]
    packed = records.buffer[sequence[hit] + place // 2].astype(np.int64)
    base[hit] = np.where(place % 2 == 0, packed >> 4, packed & 15)
    quality[hit] = records.buffer[sequence[hit] + (head["bases"][hit].astype(np.int64) + 1) // 2 + place]
    return base, quality


def _one_of_mates(
    records: Records,
    rows: NDArray[np.int64],
    site: NDArray[np.int64],
    at: NDArray[np.int64],
    quality: NDArray[np.int64],
    longest: int,
) -> NDArray[np.bool_]:
    """Leaves out, of two mates over a site, the one with the lower base quality, or R2 of two alike."""
    head = records.head[rows]
    mate = head["mate_pos"].astype(np.int64)
    paired = (head["flag"] & PAIRED != 0) & (head["flag"] & MATE_UNMAPPED == 0) & (head["mate_ref"] == head["ref"])
    kept = np.ones(len(rows), dtype=bool)
    best: dict[tuple[int, bytes], int] = {}
    rank = 2 * quality + (head["flag"] & FIRST != 0)
    for i in np.flatnonzero(paired & (mate <= at) & (mate > at - longest)).tolist():
        name = int(records.offsets[rows[i]]) + FIXED.itemsize
        key = int(site[i]), records.buffer[name : name + int(head["name_length"][i]) - 1].tobytes()
        other = best.setdefault(key, i)
        if other != i:
            loser = other if rank[i] > rank[other] else i
            kept[loser] = False
            best[key] = i + other - loser
    return kept
