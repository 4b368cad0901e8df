"""Duplicate marking on packed records: the flags that `samtools markdup` (mode template, its default) would set.

Two pairs are duplicates when both mates' unclipped 5' ends and orientations agree; the pair with the highest sum of
qualities stays, among equals the one whose name sorts first. A read whose mate is unmapped is a duplicate of any pair
that has a read at the same unclipped 5' end and strand, or else of the best such single read; so is a single-end read,
of which the first one in coordinate order stays among equals. Secondary, supplementary, unmapped and QC-failed records
are left alone. Unlike markdup, no window over the file limits which records are compared.
"""

import numpy as np
from numpy.typing import NDArray

from batch_worker.engine.packed import (
    DUPLICATE,
    FIRST,
    FIXED,
    MATE_REVERSE,
    MATE_UNMAPPED,
    PAIRED,
    QC_FAIL,
    REVERSE,
    SECONDARY,
    SUPPLEMENTARY,
    UNMAPPED,
    Records,
    Spans,
    read_mate_facts,
)

_LEFT_ALONE = SECONDARY | SUPPLEMENTARY | UNMAPPED | QC_FAIL
# Orientations of a template; only their being different matters.
_FF, _RR, _FR, _RF = 0, 1, 2, 3


def find_duplicates(records: Records, spans: Spans) -> NDArray[np.bool_]:
    """Which records are duplicates.

    Args:
        records: In coordinate order (it breaks ties between single reads), with mate facts on primary records.
        spans: Of these records.
    """
    rows = np.flatnonzero(records.head["flag"] & _LEFT_ALONE == 0)
    duplicate = np.zeros(len(records), dtype=bool)
    if not len(rows):
        return duplicate
    head, facts = records.head[rows], read_mate_facts(records, rows)
    flag = head["flag"]
    start = head["pos"].astype(np.int64) - spans.left_clip[rows] + 1  # counted from 1, as markdup does
    end = spans.end[rows] + spans.right_clip[rows]
    reverse = flag & REVERSE != 0
    five_prime = np.where(reverse, end, start)
    paired = (flag & PAIRED != 0) & (flag & MATE_UNMAPPED == 0)

    pair_rows = np.flatnonzero(paired)
    keys = _pair_keys(head[pair_rows], start[pair_rows], end[pair_rows], facts[pair_rows])
    score = facts["own"][pair_rows].astype(np.int64) + facts["mate"][pair_rows]
    losers = _losers(keys, score, records, rows[pair_rows])
    duplicate[rows[pair_rows[losers]]] = True

    single = np.flatnonzero(~paired)
    if len(single):
        place = np.stack([head["ref"].astype(np.int64), five_prime, reverse.astype(np.int64)], axis=1)
        beside_pair = _members(place[single], place[pair_rows])
        duplicate[rows[single[beside_pair]]] = True
        alone = single[~beside_pair]
        single_end = flag[alone] & PAIRED == 0
        losers = _losers(list(place[alone].T), facts["own"][alone].astype(np.int64), records, rows[alone], single_end)
        duplicate[rows[alone[losers]]] = True
    return duplicate


def _pair_keys(
    head: np.ndarray, start: NDArray[np.int64], end: NDArray[np.int64], facts: np.ndarray
) -> list[NDArray[np.int64]]:
    """The columns that agree between duplicate pairs, seen from each mate (make_pair_key of bam_markdup.c)."""
    flag = head["flag"]
    other_start, other_end = facts["start"].astype(np.int64), facts["end"].astype(np.int64)
    reverse, mate_reverse, first = flag & REVERSE != 0, flag & MATE_REVERSE != 0, flag & FIRST != 0
    same = reverse == mate_reverse
    leftmost = np.where(
        head["ref"] != head["mate_ref"],
        head["ref"] < head["mate_ref"],
        np.where(reverse, end, start)
        <= np.where(same, np.where(reverse, other_end, other_start), np.where(reverse, other_start, other_end)),
    )
    # Mates on opposite strands: each mate's 5' end. On the same strand: the template's outer ends.
    this = np.where(same, np.where(leftmost, start, end), np.where(reverse, end, start))
    other = np.where(same, np.where(leftmost, other_end, other_start), np.where(reverse, other_start, other_end))
    forward_template = (first != reverse) == leftmost
    orientation = np.where(
        same,
        np.where(forward_template, _FF, _RR),
        np.where(leftmost != reverse, _FR, _RF),
    )
    columns = (head["ref"], this, head["mate_ref"], other, leftmost, orientation)
    return [column.astype(np.int64) for column in columns]


def _losers(
    keys: list[NDArray[np.int64]],
    score: NDArray[np.int64],
    records: Records,
    rows: NDArray[np.int64],
    single_end: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Within each set of equal keys, all but the one with the best score.

    Among equal scores the first name stays; with a single-end read among them, the first record.
    """
    if len(score) < 2:
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((-score, *reversed(keys)))
    differs = np.zeros(len(order) - 1, dtype=bool)
    for column in keys:
        ordered = column[order]
        differs |= ordered[1:] != ordered[:-1]
    first = np.flatnonzero(np.concatenate([[True], differs]))
    lost = np.ones(len(order), dtype=bool)
    lost[first] = False
    ordered_score = score[order]
    stops = np.concatenate([first[1:], [len(order)]])
    tied = (stops - first > 1) & (ordered_score[np.minimum(first + 1, len(order) - 1)] == ordered_score[first])
    for begin, stop in zip(first[tied].tolist(), stops[tied].tolist(), strict=True):
        best = [i for i in range(begin, stop) if ordered_score[i] == ordered_score[begin]]
        if single_end is not None and single_end[order[best]].any():
            continue  # the sort is stable: the first record is the first of the set
        winner = min(best, key=lambda i: _name(records, int(rows[order[i]])))
        lost[begin], lost[winner] = True, False
    return order[lost]


def _name(records: Records, row: int) -> bytes:
    """The name of one record."""
    begin = int(records.offsets[row]) + FIXED.itemsize
    return records.buffer[begin : begin + int(records.head["name_length"][row]) - 1].tobytes()


def _members(some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows of `some` also occur in `others` (both have three columns)."""
    both = np.concatenate([some, others])
    _, number = np.unique(both, axis=0, return_inverse=True)
    number = number.ravel()
    return np.isin(number[: len(some)], number[len(some) :])


def set_duplicate_flags(records: Records, duplicate: NDArray[np.bool_]) -> None:
    """Write the duplicate flag of every record into the buffer and the head (an earlier flag is overwritten)."""
    flag = np.where(duplicate, records.head["flag"] | DUPLICATE, records.head["flag"] & ~np.uint16(DUPLICATE))
    records.head["flag"] = flag
    at = records.offsets + FIXED.fields["flag"][1]  # type: ignore[index]
    records.buffer[at] = flag & 0xFF
    records.buffer[at + 1] = flag >> 8
