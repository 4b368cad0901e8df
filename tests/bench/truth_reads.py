"""Reads of a diploid donor with the faults of real ones; equal seeds give equal bytes.

Fragments come from a template with PCR errors, which all copies of the fragment share; the sequencer then adds errors
of its own, which the qualities foretell. Positions are 0-based half-open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.local.demo_genome import Bases, N, reverse_complement, substitute
from infra.local.simulate import QUALITIES, ReadPairs
from tests.bench.truth_donor import runs_of_unit

_ROWS = 1 << 14
_G, _C = ord("G"), ord("C")
_ADAPTERS = tuple(
    np.frombuffer(text + b"G" * 400, dtype=np.uint8)  # behind the adapter two-colour machines see nothing: G
    for text in (
        b"AGATCGGAAGAGCACACGTCTGAACTCCAGTCACACGTACGTATCTCGTATGCCGTCTTCTGCTTG",
        b"AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGTTGCATGCAGTGTAGATCTCGGTGGTCGCCGTATCATT",
    )
)
_WRONG = (10.0 ** (QUALITIES / -10.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class ReadFaults:
    """How reads are made and what is wrong with them.

    Attributes:
        read_bp: Bases per read.
        fragment_bp: Mean and standard deviation of the fragments' length.
        short: Share of the fragments that are short (60 bp to `read_bp` + 50 bp), so that reads run into the adapter.
        duplicates: Share of the pairs that are copies of another pair's fragment.
        pcr_errors: Substitutions per base of a fragment, in all its copies.
        stutter: Chance that a homopolymer of 4 bp lost or gained a base in a fragment; it grows by `stutter_growth`
            for each further base up to `stutter_most`, and for units of 2 to 4 bp from 12 bp on likewise, but a third
            as likely.
        indels: Other insertions and deletions of one base per base.
        weak: Share of bases below the best quality bin at the start and what is added at the end of R1; R2 has
            `r2_factor` as many.
        broken: Share of the reads whose quality breaks down somewhere behind the middle, for R1.
        after_ggc: How many times as often a base behind GGC is wrong as its quality says.
        gc_bias: How strongly the share of GC of a fragment lowers its chance: exp(-gc_bias * (gc - 0.42)^2).
    """

    read_bp: int = 150
    fragment_bp: tuple[int, int] = (380, 90)
    short: float = 0.02
    duplicates: float = 0.08
    pcr_errors: float = 2e-5
    stutter: float = 2e-4
    stutter_growth: float = 1.75
    stutter_most: float = 0.25
    indels: float = 8e-6
    weak: tuple[float, float] = (0.015, 0.07)
    broken: float = 0.04
    r2_factor: float = 1.7
    after_ggc: float = 12.0
    gc_bias: float = 14.0


@dataclass(frozen=True, slots=True)
class _Fragments:
    """Templates: start on the joined genome, length, strand; and PCR's changes, sorted by fragment."""

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    flipped: NDArray[np.bool_]
    indel_of: NDArray[np.int64]
    indel_at: NDArray[np.int64]
    indel_step: NDArray[np.int8]
    error_of: NDArray[np.int64]
    error_at: NDArray[np.int64]


def pairs_for_depth(depth: float, genome_bp: int, faults: ReadFaults) -> int:
    """Read pairs for a mean depth over `genome_bp` bp of one haplotype."""
    return round(depth * genome_bp / (2 * faults.read_bp))


def simulate_truth_pairs(
    sequences: Sequence[Bases], pairs: int, faults: ReadFaults, rng: np.random.Generator
) -> ReadPairs:
    """Sequence `pairs` fragments of the donor's sequences: contigs of both haplotypes and what else it has."""
    genome = np.concatenate(sequences)
    ends = np.cumsum([len(sequence) for sequence in sequences])
    unique = pairs - int(pairs * faults.duplicates)
    fragments = _templates(genome, ends, unique, faults, rng)
    of = np.concatenate([np.arange(unique), rng.integers(0, unique, pairs - unique)])[rng.permutation(pairs)]
    bases = tuple(np.empty((pairs, faults.read_bp), dtype=np.uint8) for _ in range(2))
    qualities = tuple(np.empty((pairs, faults.read_bp), dtype=np.uint8) for _ in range(2))
    for low in range(0, pairs, _ROWS):
        chosen = of[low : low + _ROWS]
        for side in (False, True):  # left end of the fragment, right end
            template = _end_of_template(genome, fragments, chosen, side, faults)
            for mate in (0, 1):
                rows = np.flatnonzero(fragments.flipped[chosen] == (side == (mate == 0)))
                read = template[rows]
                _run_into_adapter(read, fragments.length[chosen[rows]], mate)
                read, quality = _sequence(read, mate, faults, rng)
                bases[mate][low + rows], qualities[mate][low + rows] = read, quality
    return ReadPairs((bases[0], bases[1]), (qualities[0], qualities[1]))


def _templates(
    genome: Bases, ends: NDArray[np.int64], count: int, faults: ReadFaults, rng: np.random.Generator
) -> _Fragments:
    start, length = _places(genome, ends, count, faults, rng)
    end = start + length
    # Slips of the polymerase: every (fragment, repeat within it) is a chance.
    of: list[NDArray[np.int64]] = []
    at: list[NDArray[np.int64]] = []
    step: list[NDArray[np.int64]] = []
    for unit, copies, shortest, scale in ((1, 4, 4, 1.0), (2, 5, 12, 1 / 3), (3, 4, 12, 1 / 3), (4, 3, 12, 1 / 3)):
        low, high = runs_of_unit(genome, unit, copies)
        first = np.searchsorted(low, start)
        many = np.maximum(np.searchsorted(high, end, side="right") - first, 0)
        fragment = np.repeat(np.arange(count), many)
        run = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
        growth = faults.stutter_growth ** np.minimum((high - low - shortest) / (1 if unit == 1 else unit), 60)
        chance = np.minimum(faults.stutter * scale * growth, faults.stutter_most)
        slips = np.flatnonzero(rng.random(len(run)) < chance[run])
        of.append(fragment[slips])
        at.append(low[run[slips]] + unit - start[fragment[slips]])
        step.append(np.where(rng.random(len(slips)) < 0.6, unit, -unit))  # losses are more frequent than gains
    # What is left: single bases lost, or doubled.
    total = int(length.sum())
    other = rng.integers(0, count, rng.poisson(total * faults.indels))
    of.append(other)
    at.append(1 + (rng.random(len(other)) * (length[other] - 1)).astype(np.int64))
    step.append(np.where(rng.random(len(other)) < 0.6, 1, -1))
    owners = np.concatenate(of)
    order = np.argsort(owners, kind="stable")
    wrong = np.sort(rng.integers(0, count, rng.poisson(total * faults.pcr_errors)))
    return _Fragments(
        start, length, rng.random(count) < 0.5,
        owners[order], np.concatenate(at)[order], np.concatenate(step)[order].astype(np.int8),
        wrong, (rng.random(len(wrong)) * length[wrong]).astype(np.int64),
    )  # fmt: skip


def _places(
    genome: Bases, ends: NDArray[np.int64], count: int, faults: ReadFaults, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of fragments within one sequence and without N, by the chance that their GC gives them."""
    n_before = np.concatenate([[0], np.cumsum(genome == N)])
    gc_before = np.concatenate([[0], np.cumsum((genome == _G) | (genome == _C))])
    starts: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    found = 0
    while found < count:
        start = rng.integers(0, len(genome), count)
        drawn = rng.normal(*faults.fragment_bp, count).round().astype(np.int64)
        short = rng.random(count) < faults.short
        drawn[short] = rng.integers(60, faults.read_bp + 50, int(short.sum()))
        length = np.maximum(drawn, 60)
        end = np.minimum(start + length, len(genome))
        gc = (gc_before[end] - gc_before[start]) / length
        fits = start + length <= ends[np.searchsorted(ends, start, side="right")]
        fits &= n_before[end] == n_before[start]
        fits &= rng.random(count) < np.exp(-faults.gc_bias * (gc - 0.42) ** 2)
        starts.append(start[fits])
        lengths.append(length[fits])
        found += int(fits.sum())
    return np.concatenate(starts)[:count], np.concatenate(lengths)[:count]


def _end_of_template(
    genome: Bases, fragments: _Fragments, chosen: NDArray[np.int64], right: bool, faults: ReadFaults
) -> Bases:
    """One read's length from one end of the chosen fragments, in reading direction, with PCR's changes."""
    size = faults.read_bp
    length = fragments.length[chosen]
    shift = np.zeros((len(chosen), size), dtype=np.int8)
    row, which = _belonging(chosen, fragments.indel_of)
    offset, step = fragments.indel_at[which], fragments.indel_step[which]
    column = length[row] - offset - 1 if right else offset
    inside = (column > 0) & (column < size)
    np.add.at(shift, (row[inside], column[inside]), step[inside])
    place = np.cumsum(shift, axis=1, dtype=np.int16) + np.arange(size)
    limit = (length - 1)[:, None]
    place = np.clip(place, 0, limit)
    place = limit - place if right else place
    read = genome[fragments.start[chosen][:, None] + place]
    row, which = _belonging(chosen, fragments.error_of)
    offset = fragments.error_at[which]
    column = length[row] - 1 - offset if right else offset
    inside = column < size
    row, column = row[inside], column[inside]
    # The same change in every copy and in both mates: it is drawn from the place, not from the generator.
    code = np.searchsorted(np.frombuffer(b"ACGT", dtype=np.uint8), read[row, column])
    read[row, column] = np.frombuffer(b"ACGT", dtype=np.uint8)[(code + 1 + offset[inside] % 3) % 4]
    return reverse_complement(read[:, ::-1]) if right else read


def _belonging(chosen: NDArray[np.int64], owners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row of `chosen`, index into the sorted `owners`) of all that belong together."""
    low, high = np.searchsorted(owners, chosen), np.searchsorted(owners, chosen, side="right")
    many = high - low
    row = np.repeat(np.arange(len(chosen)), many)
    return row, np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many) + np.repeat(low, many)


def _run_into_adapter(read: Bases, length: NDArray[np.int64], mate: int) -> None:
    """Put the adapter behind the insert's end."""
    size = read.shape[1]
    for row in np.flatnonzero(length < size).tolist():
        read[row, length[row] :] = _ADAPTERS[mate][: size - length[row]]


def _sequence(reads: Bases, mate: int, faults: ReadFaults, rng: np.random.Generator) -> tuple[Bases, NDArray[np.uint8]]:
    """Qualities that fall along the read, break down in some reads, and foretell the errors."""
    size = reads.shape[1]
    factor = (1.0, faults.r2_factor)[mate]
    cycle = np.linspace(0, 1, size, dtype=np.float32)
    weak = (faults.weak[0] + faults.weak[1] * cycle**2) * factor
    of_read = rng.gamma(1.5, 1 / 1.5, len(reads)).astype(np.float32)
    limit = of_read[:, None] * weak
    broken = rng.random(len(reads)) < faults.broken * factor
    since = np.where(broken, rng.integers(size // 2, size, len(reads)), size)
    limit[np.arange(size) >= since[:, None]] = 0.85
    np.minimum(limit, 0.9, out=limit)
    draw = rng.random(reads.shape, dtype=np.float32)
    level = np.where(draw < limit * 0.35, 1, np.where(draw < limit, 2, 3))
    chance = _WRONG[level]
    behind = (reads[:, :-3] == _G) & (reads[:, 1:-2] == _G) & (reads[:, 2:-1] == _C)
    chance[:, 3:][behind] *= faults.after_ggc
    wrong = rng.random(reads.shape, dtype=np.float32) < chance
    bases = reads.copy()
    bases[wrong] = substitute(bases[wrong], rng)
    missing = rng.random(reads.shape, dtype=np.float32) < 2e-5
    bases[missing] = N
    level[missing] = 0
    return bases, QUALITIES[level]
