"""Calls against a truth: two sets of variants agree where they give the same haplotypes, however they are written.

First by allele, left-aligned. Where that leaves something over, the alleles of the neighbourhood are replayed onto the
reference: the largest choice of truth and of calls that gives the same pair of haplotype sequences is found with the
right genotype; of what is left, the largest choices that give one same sequence are found with another genotype.
(vcfeval and hap.py do the same, in Java and C++; truvari is for structural variants and leaves SNVs out.)

Positions are 0-based half-open.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path

from infra.local.demo_genome import Bases
from infra.local.demo_variants import left_aligned

_GAP_BP = 20  # alleles further apart, with all the places that they could be written at, cannot be one change
_NARROW_GAP_BP = 3
_MOST = 6  # alleles of each side that are replayed in all combinations: 3^6 x 2^6

SIZES = ((1, 1), (2, 5), (6, 15), (16, 50))
"""Classes of indels by length, bp; longer ones count to the last."""

KINDS = (
    "SNV",
    *(f"{what} {low}-{high}" if low < high else f"{what} {low}" for what in ("ins", "del") for low, high in SIZES),
)
"""SNV, and insertions and deletions by length. Several changed bases in a row count as so many SNVs."""


@dataclass(frozen=True, slots=True)
class Event:
    """One allele without the bases that it shares with the reference.

    Attributes:
        start: First reference base that is replaced; `start == end` for an insertion before it.
        alt: What replaces it.
        copies: Haplotypes that carry it.
        on: The haplotypes by number where the genotype is phased, else None.
        key: (start, ref, alt) of the leftmost spelling.
        low: Start of the leftmost spelling.
        high: End of the rightmost spelling.
        passed: Whether FILTER is PASS or nothing.
        facts: QUAL, MQ, DP and so on of the record, for whoever tries other limits.
    """

    contig: str
    start: int
    end: int
    alt: bytes
    copies: int
    on: tuple[bool, bool] | None
    key: tuple[int, bytes, bytes]
    low: int
    high: int
    passed: bool
    facts: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        change = len(self.alt) - (self.end - self.start)
        if change == 0:
            return "SNV"
        number = next((n for n, (_, high) in enumerate(SIZES) if abs(change) <= high), len(SIZES) - 1)
        return KINDS[1 + number + (len(SIZES) if change < 0 else 0)]


@dataclass(slots=True)
class Verdicts:
    """What was found, by place in the lists that were compared."""

    truth: list[bool]
    same_genotype: list[bool]
    calls: list[bool]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one kind.

    Attributes:
        truth: Alleles of the truth.
        found: Of these, those called.
        same_genotype: Of these, those called with the right genotype.
        called: Alleles called.
        right: Of these, those in the truth.
    """

    truth: int = 0
    found: int = 0
    same_genotype: int = 0
    called: int = 0
    right: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.truth + other.truth, self.found + other.found, self.same_genotype + other.same_genotype,
            self.called + other.called, self.right + other.right,
        )  # fmt: skip

    @property
    def recall(self) -> float:
        """Share of the truth that was found; 1 when there was nothing to find."""
        return self.found / self.truth if self.truth else 1.0

    @property
    def precision(self) -> float:
        """Share of the calls that are true; 1 when there are none."""
        return self.right / self.called if self.called else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        both = self.recall + self.precision
        return 2 * self.recall * self.precision / both if both else 0.0

    @property
    def genotypes(self) -> float:
        """Share of the found alleles with the right genotype."""
        return self.same_genotype / self.found if self.found else 1.0


def scores(
    truth: Sequence[Event],
    calls: Sequence[Event],
    contigs: Mapping[str, Bases],
    outside: Sequence[tuple[str, int, int]] = (),
) -> dict[str, Score]:
    """Scores by kind, and of ``indel`` as a whole; the truth's kind counts for recall, the call's for precision.

    Alleles that start in one of the places `outside` (contig, start, end) do not count.
    """
    verdicts = compare(truth, calls, contigs)
    by_kind = dict.fromkeys(KINDS, Score())

    def counts(event: Event) -> bool:
        return not any(name == event.contig and start <= event.start < end for name, start, end in outside)

    for event, found, same in zip(truth, verdicts.truth, verdicts.same_genotype, strict=True):
        if counts(event):
            by_kind[event.kind] += Score(truth=1, found=int(found), same_genotype=int(same))
    for event, right in zip(calls, verdicts.calls, strict=True):
        if counts(event):
            by_kind[event.kind] += Score(called=1, right=int(right))
    return by_kind | {"indel": sum((by_kind[kind] for kind in KINDS[1:]), Score())}


def read_events(vcf: Path, contigs: Mapping[str, Bases]) -> list[Event]:
    """The alleles of a VCF's first sample, in genome order.

    Alleles of one record are taken apart, changes of several bases in a row into SNVs; what the genotype does not
    carry, ``*`` and symbolic alleles are left out. Of an allele that two records have, the copies are added.
    """
    import pysam

    verbosity = pysam.set_verbosity(1)
    found: dict[tuple[str, int, bytes, bytes], Event] = {}
    with pysam.VariantFile(str(vcf)) as records:
        for record in records:
            sample = record.samples[0]
            genotype = sample["GT"]
            passed = set(record.filter.keys()) <= {"PASS"}
            facts = {"QUAL": record.qual or 0.0, **{k: v for k, v in record.info.items() if isinstance(v, int | float)}}
            facts.update({f"FORMAT/{k}": v for k, v in sample.items() if isinstance(v, int | float)})
            for number, alt in enumerate(record.alts or (), 1):
                if number not in genotype or not set(alt.upper()) <= set("ACGTN"):
                    continue
                carried = [allele == number for allele in genotype]
                phased = (carried[0], carried[1]) if sample.phased and len(carried) == 2 else None
                copies = 2 if all(carried) else 1
                bases = contigs[record.chrom]
                for start, ref, piece in _pieces(record.start, record.ref.upper().encode(), alt.upper().encode()):
                    event = _event(record.chrom, bases, start, ref, piece, copies, phased, passed, facts)
                    key = (record.chrom, *event.key)
                    found[key] = _united(found[key], event) if key in found else event
    pysam.set_verbosity(verbosity)
    rank = {name: number for number, name in enumerate(contigs)}
    return sorted(found.values(), key=lambda event: (rank[event.contig], event.start, event.end, event.alt))


def compare(truth: Sequence[Event], calls: Sequence[Event], contigs: Mapping[str, Bases]) -> Verdicts:
    """Find which alleles of the two lists agree; both are in genome order."""
    verdicts = Verdicts([False] * len(truth), [False] * len(truth), [False] * len(calls))
    for contig, bases in contigs.items():
        here = [[row for row in enumerate(events) if row[1].contig == contig] for events in (truth, calls)]
        for truth_rows, call_rows in _clusters(here[0], here[1], _GAP_BP):
            _match(truth_rows, call_rows, bases, verdicts)
    return verdicts


_Numbered = list[tuple[int, Event]]


def _pieces(start: int, ref: bytes, alt: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """An allele without shared ends; one of equal lengths as SNVs."""
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        start, ref, alt = start + 1, ref[1:], alt[1:]
    if len(ref) != len(alt):
        yield start, ref, alt
        return
    for step in range(len(ref)):
        if ref[step] != alt[step]:
            yield start + step, ref[step : step + 1], alt[step : step + 1]


def _event(
    contig: str, bases: Bases, start: int, ref: bytes, alt: bytes, copies: int, on: tuple[bool, bool] | None,
    passed: bool, facts: Mapping[str, float],
) -> Event:  # fmt: skip
    end = start + len(ref)
    key, low, high = (start, ref, alt), start, end
    if not (ref and alt) and start > 0:
        before = bases[start - 1 : start].tobytes()
        first, *changed = left_aligned(bases, start - 1, before + ref, before + alt)
        key = (first, changed[0], changed[1])
        low = first
        unit = ref or alt
        while high < len(bases) and bases[high] == unit[(high - end) % len(unit)]:
            high += 1
    return Event(contig, start, end, alt, copies, on, key, low, high, passed, facts)


def _united(one: Event, other: Event) -> Event:
    """The same allele from two records: on both haplotypes together."""
    on = None
    if one.on and other.on:
        on = (one.on[0] or other.on[0], one.on[1] or other.on[1])
    copies = sum(on) if on else min(2, one.copies + other.copies)
    return Event(
        one.contig, one.start, one.end, one.alt, copies, on, one.key, min(one.low, other.low),
        max(one.high, other.high), one.passed or other.passed, one.facts,
    )  # fmt: skip


def _clusters(truth: _Numbered, calls: _Numbered, gap: int) -> Iterator[tuple[_Numbered, _Numbered]]:
    """Alleles of both sides that lie near each other."""
    every = sorted(
        [(e.low, e.high, side, n, e) for side, events in enumerate((truth, calls)) for n, e in events],
        key=lambda row: row[:4],
    )
    parts: tuple[_Numbered, _Numbered] = ([], [])
    reach = -gap
    for low, high, side, number, event in every:
        if low > reach + gap and (parts[0] or parts[1]):
            yield parts
            parts = ([], [])
        parts[side].append((number, event))
        reach = max(reach, high)
    if parts[0] or parts[1]:
        yield parts


def _match(truth: _Numbered, calls: _Numbered, bases: Bases, verdicts: Verdicts, gap: int = _GAP_BP) -> None:
    if not truth or not calls:
        return
    if {(e.key, e.copies) for _, e in truth} == {(e.key, e.copies) for _, e in calls}:
        _found(truth, calls, verdicts, same_genotype=True)
        return
    if max(len(truth), len(calls)) > _MOST:
        _match_crowd(truth, calls, bases, verdicts, gap)
        return
    window = _Window(bases, truth, calls)
    for same_genotype, ways in ((True, window.diploid), (False, window.haploid)):
        while truth and calls and (best := _largest(ways(truth), ways(calls))):
            chosen = [truth[place] for place in best[0]], [calls[place] for place in best[1]]
            _found(*chosen, verdicts, same_genotype=same_genotype)
            truth = [row for row in truth if row not in chosen[0]]
            calls = [row for row in calls if row not in chosen[1]]


def _match_crowd(truth: _Numbered, calls: _Numbered, bases: Bases, verdicts: Verdicts, gap: int) -> None:
    """Too many for all combinations: what is the same on both sides stands for itself; the rest is cut smaller."""
    shared = {(e.key, e.copies) for _, e in truth} & {(e.key, e.copies) for _, e in calls}
    _found(
        [row for row in truth if (row[1].key, row[1].copies) in shared],
        [row for row in calls if (row[1].key, row[1].copies) in shared],
        verdicts,
        same_genotype=True,
    )
    truth = [row for row in truth if (row[1].key, row[1].copies) not in shared]
    calls = [row for row in calls if (row[1].key, row[1].copies) not in shared]
    if gap > _NARROW_GAP_BP:
        for truth_rows, call_rows in _clusters(truth, calls, _NARROW_GAP_BP):
            _match(truth_rows, call_rows, bases, verdicts, _NARROW_GAP_BP)
        return
    keys = {e.key for _, e in truth} & {e.key for _, e in calls}
    _found(
        [row for row in truth if row[1].key in keys],
        [row for row in calls if row[1].key in keys],
        verdicts,
        same_genotype=False,
    )


def _found(truth: _Numbered, calls: _Numbered, verdicts: Verdicts, *, same_genotype: bool) -> None:
    for number, _ in truth:
        verdicts.truth[number] = True
        verdicts.same_genotype[number] = same_genotype
    for number, _ in calls:
        verdicts.calls[number] = True


_Ways = Mapping[tuple[bytes, ...], tuple[int, ...]]
"""By haplotype sequences: places of the most alleles that give them."""


def _largest(truth: _Ways, calls: _Ways) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The choices of most alleles that give the same sequences; None when only nothing is like nothing."""
    shared = [(truth[key], calls[key]) for key in truth if key in calls and truth[key] and calls[key]]
    return max(shared, key=lambda pair: len(pair[0]) + len(pair[1]), default=None)


class _Window:
    """The reference around a cluster."""

    def __init__(self, bases: Bases, truth: _Numbered, calls: _Numbered) -> None:
        events = [event for _, event in (*truth, *calls)]
        self.start = min(event.low for event in events)
        self.bases = bases[self.start : max(event.high for event in events)].tobytes()

    def diploid(self, rows: _Numbered) -> _Ways:
        """Every choice of the alleles, on every choice of haplotypes that their genotypes allow."""
        options = [_haplotypes(event) for _, event in rows]
        return self._ways(rows, product(*options))

    def haploid(self, rows: _Numbered) -> _Ways:
        """Every choice of the alleles, all on one haplotype."""
        places = range(len(rows))
        chosen = (set(some) for size in range(len(rows) + 1) for some in combinations(places, size))
        return self._ways(rows, ([(place in some,) for place in places] for some in chosen))

    def _ways(self, rows: _Numbered, carried: Iterator[Sequence[tuple[bool, ...]]]) -> _Ways:
        ways: dict[tuple[bytes, ...], tuple[int, ...]] = {}
        sequence = _cached(self._replay)
        for choice in carried:
            places = tuple(place for place, on in enumerate(choice) if any(on))
            haplotypes = [
                sequence(tuple(rows[place][1] for place in places if choice[place][number]))
                for number in range(len(choice[0]))
            ]
            if None in haplotypes:
                continue
            key = tuple(sorted(text for text in haplotypes if text is not None))
            if len(places) > len(ways.get(key, ())):
                ways[key] = places
        return ways

    def _replay(self, events: tuple[Event, ...]) -> bytes | None:
        """The sequence with the alleles put in; None when two of them touch the same bases."""
        pieces = []
        at = self.start
        last: Event | None = None
        for event in sorted(events, key=lambda e: (e.start, e.end)):
            doubled = last is not None and last.start == last.end == event.start == event.end
            if event.start < at or doubled:
                return None
            pieces += [self.bases[at - self.start : event.start - self.start], event.alt]
            at, last = event.end, event
        return b"".join([*pieces, self.bases[at - self.start :]])


def _haplotypes(event: Event) -> list[tuple[bool, bool]]:
    """Where an allele can lie: nowhere (it is left out), on both, or on the haplotypes that its genotype allows."""
    if event.on is not None:
        return [(False, False), event.on]
    return [(False, False), (True, True)] if event.copies == 2 else [(False, False), (True, False), (False, True)]


def _cached(replay: Callable[[tuple[Event, ...]], bytes | None]) -> Callable[[tuple[Event, ...]], bytes | None]:
    known: dict[tuple[int, ...], bytes | None] = {}

    def sequence(events: tuple[Event, ...]) -> bytes | None:
        key = tuple(map(id, events))
        if key not in known:
            known[key] = replay(events)
        return known[key]

    return sequence
