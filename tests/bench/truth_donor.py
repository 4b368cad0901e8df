"""A diploid donor with known variants, at rates like a human genome's, and the repeats that make calling hard.

Positions are 0-based half-open; variants are written as VCF writes them (`Allele.pos` is 1-based).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.local.demo_genome import Bases, N, random_bases, reverse_complement, substitute
from infra.local.demo_variants import DonorVariant, left_aligned
from shared.domain.variant import Allele

MAX_INDEL_BP = 50
_EDGE_BP = 300  # no variants so close to a contig's end or to a run of N
_TRANSITION = dict(zip(b"ACGT", b"GTAC", strict=True))


@dataclass(frozen=True, slots=True)
class DonorModel:
    """How the donor differs from the reference.

    Attributes:
        spacing_bp: Genome bp per variant. A human has about 850; a little denser gives more to count per read.
        indels: Share of the variants that are indels.
        slipped: Share of the indels that are in homopolymers or tandem repeats, by whole units.
        long_indels: Share of the other indels that come from the long tail (geometric with mean 14 bp, up to 50).
        homozygous: Share of the variants on both haplotypes: het:hom is 1.7 for 0.37.
        two_alts: Share of the sites where both haplotypes differ, each in another way.
        companions: Share of the variants with another one 2 to 12 bp away, on either haplotype.
        mnvs: Share of the SNVs that are two or three changed bases in a row on one haplotype.
        copied: Share of the reference that is overwritten by diverged copies of other parts of it.
        absent: Share of the reference of which the donor has a diverged copy that the reference lacks.
        copy_bp: Shortest and longest copy.
        divergence: Least and most divergence of the copies in the reference; drawn evenly on a log scale. The least
            leaves stretches where reads fit both places equally.
        absent_divergence: The same of the copies that the reference lacks.
    """

    spacing_bp: int = 600
    indels: float = 0.18
    slipped: float = 0.45
    long_indels: float = 0.22
    homozygous: float = 0.37
    two_alts: float = 0.02
    companions: float = 0.05
    mnvs: float = 0.02
    copied: float = 0.03
    absent: float = 0.003
    copy_bp: tuple[int, int] = (1_500, 8_000)
    divergence: tuple[float, float] = (0.0005, 0.06)
    absent_divergence: tuple[float, float] = (0.004, 0.05)


@dataclass(frozen=True, slots=True)
class TruthDonor:
    """A reference and a donor of it.

    Attributes:
        contigs: The reference with its copies, by name.
        variants: The truth, in genome order; of one haplotype, no two touch.
        paralogs: Sequences of the donor that the reference lacks, both haplotypes of each.
        copies: (contig, start, end) of places that have a relative in the reference or in `paralogs`.
    """

    contigs: Mapping[str, Bases]
    variants: tuple[DonorVariant, ...]
    paralogs: tuple[Bases, ...]
    copies: tuple[tuple[str, int, int], ...]


def make_truth_donor(contigs: Mapping[str, Bases], model: DonorModel, rng: np.random.Generator) -> TruthDonor:
    """Draw a donor; `contigs` are left as they are."""
    changed = {name: sequence.copy() for name, sequence in contigs.items()}
    copies = list(_copy_segments(changed, model, rng))
    paralogs, sources = _absent_paralogs(changed, model, rng)
    variants = [variant for name, bases in changed.items() for variant in _variants(name, bases, model, rng)]
    rank = {name: number for number, name in enumerate(changed)}
    variants.sort(key=lambda v: (rank[v.allele.contig], v.allele.pos, v.allele.ref, v.allele.alt))
    return TruthDonor(changed, tuple(variants), tuple(paralogs), tuple(copies + sources))


def diverged(sequence: Bases, share: float, rng: np.random.Generator) -> Bases:
    """A copy with substitutions, and an indel for every ten of them."""
    copy = sequence.copy()
    changed = np.flatnonzero((rng.random(len(copy)) < share) & (copy != N))
    copy[changed] = substitute(copy[changed], rng)
    for at in sorted(rng.integers(0, len(copy), rng.poisson(len(copy) * share / 10)).tolist(), reverse=True):
        size = min(int(rng.geometric(0.4)), 20)
        added = random_bases(size, 0.45, rng) if rng.random() < 0.5 else copy[:0]
        copy = np.concatenate([copy[:at], added, copy[at + (0 if len(added) else size) :]])
    return copy


def _place(contigs: Mapping[str, Bases], size: int, rng: np.random.Generator) -> tuple[str, int]:
    """A place without N for a copy."""
    names = list(contigs)
    lengths = np.array([len(contigs[name]) for name in names])
    for _ in range(1_000):
        name = names[int(rng.choice(len(names), p=lengths / lengths.sum()))]
        start = int(rng.integers(0, max(1, len(contigs[name]) - size)))
        if start + size <= len(contigs[name]) and not (contigs[name][start : start + size] == N).any():
            return name, start
    raise ValueError(f"The contigs have no {size} bp without N; take a larger reference or shorter copies.")


def _sizes(contigs: Mapping[str, Bases], share: float, model: DonorModel, rng: np.random.Generator) -> Iterator[int]:
    """Lengths of segments that make up a share of the bases; one at least."""
    left = share * sum(int((bases != N).sum()) for bases in contigs.values())
    left = max(left, model.copy_bp[0]) if share else 0
    while left >= model.copy_bp[0]:
        size = min(int(rng.integers(model.copy_bp[0], model.copy_bp[1] + 1)), int(left))
        left -= size
        yield size


def _share(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = np.log(bounds)
    return float(np.exp(rng.uniform(low, high)))


def _copy_segments(
    contigs: dict[str, Bases], model: DonorModel, rng: np.random.Generator
) -> Iterator[tuple[str, int, int]]:
    """Overwrite places with diverged copies of others, as segmental duplications."""
    for size in _sizes(contigs, model.copied, model, rng):
        source, target = _place(contigs, size, rng), _place(contigs, size + 400, rng)
        copy = diverged(contigs[source[0]][source[1] : source[1] + size], _share(model.divergence, rng), rng)
        if rng.random() < 0.5:
            copy = reverse_complement(copy)
        end = min(target[1] + len(copy), len(contigs[target[0]]))
        contigs[target[0]][target[1] : end] = copy[: end - target[1]]
        yield source[0], source[1], source[1] + size
        yield target[0], target[1], end


def _absent_paralogs(
    contigs: Mapping[str, Bases], model: DonorModel, rng: np.random.Generator
) -> tuple[list[Bases], list[tuple[str, int, int]]]:
    """Both haplotypes of copies that only the donor has, and where their relatives are."""
    sequences, places = [], []
    for size in _sizes(contigs, model.absent, model, rng):
        name, start = _place(contigs, size, rng)
        copy = diverged(contigs[name][start : start + size], _share(model.absent_divergence, rng), rng)
        sequences += [copy, diverged(copy, 0.001, rng)]
        places.append((name, start, start + size))
    return sequences, places


def _variants(contig: str, bases: Bases, model: DonorModel, rng: np.random.Generator) -> Iterator[DonorVariant]:
    free = bases != N
    for edge in np.flatnonzero(np.diff(free, prepend=False, append=False)).tolist():
        free[max(0, edge - _EDGE_BP) : edge + _EDGE_BP] = False
    repeats = _tandem_repeats(bases)
    count = len(bases) // model.spacing_bp
    for start in rng.integers(_EDGE_BP, max(_EDGE_BP + 1, len(bases) - _EDGE_BP), count).tolist():
        for made in _site(contig, bases, int(start), repeats, model, rng):
            spans = [(variant.start, variant.end) for variant in made]
            low, high = min(span[0] for span in spans), max(span[1] for span in spans)
            if low >= 1 and free[max(0, low - 2) : high + 2].all():
                free[low:high] = False
                yield from made


def _site(
    contig: str, bases: Bases, start: int, repeats: NDArray[np.int64], model: DonorModel, rng: np.random.Generator
) -> list[list[DonorVariant]]:
    """One site's variants, in groups that are placed all or not at all."""
    hom, first = bool(rng.random() < model.homozygous), bool(rng.random() < 0.5)
    carried = (True, True) if hom else (first, not first)
    near = np.searchsorted(repeats[:, 0], start)
    is_indel = rng.random() < model.indels
    slipped = is_indel and rng.random() < model.slipped and near < len(repeats)
    if slipped:
        start = int(repeats[near, 0])
    if is_indel:
        unit = int(repeats[near, 2]) if slipped else 0
        spans = [_indel(bases, start, unit, model, rng)]
    elif rng.random() < model.mnvs:
        spans = [_snv(bases, start + step, rng) for step in range(2 + int(rng.random() < 0.3))]
    else:
        spans = [_snv(bases, start, rng)]
    if rng.random() < model.two_alts:
        other = (
            _indel(bases, start, int(repeats[near, 2]) if slipped else 0, model, rng)
            if is_indel
            else _snv(bases, start, rng)
        )
        if other != spans[0]:
            pair = zip((spans[0], other), ((first, not first), (not first, first)), strict=True)
            return [[_variant(contig, span, which) for span, which in pair]]
    groups = [[_variant(contig, span, carried) for span in spans]]
    if rng.random() < model.companions:
        at = groups[0][-1].end + int(rng.integers(2, 13))
        span = _snv(bases, at, rng) if rng.random() < 0.75 else _indel(bases, at, 0, model, rng)
        beside = carried if rng.random() < 0.5 else (not first, first)
        groups.append([_variant(contig, span, beside)])
    return groups


def _variant(contig: str, span: tuple[int, bytes, bytes], carried: tuple[bool, bool]) -> DonorVariant:
    start, ref, alt = span
    return DonorVariant(Allele(contig, start + 1, ref.decode(), alt.decode()), carried)


def _snv(bases: Bases, start: int, rng: np.random.Generator) -> tuple[int, bytes, bytes]:
    """Two transitions for each transversion."""
    ref = bases[start : start + 1]
    code = int(ref[0])
    if rng.random() < 2 / 3 and code in _TRANSITION:
        return start, ref.tobytes(), bytes([_TRANSITION[code]])
    return start, ref.tobytes(), substitute(ref, rng).tobytes()


def _indel(
    bases: Bases, start: int, unit: int, model: DonorModel, rng: np.random.Generator
) -> tuple[int, bytes, bytes]:
    """An insertion or deletion after the base at `start`; of whole units of `unit` bp when that is not 0."""
    if unit:
        size = min(unit * int(rng.geometric(0.65)), MAX_INDEL_BP // unit * unit)
    elif rng.random() < model.long_indels:
        size = min(3 + int(rng.geometric(1 / 14)), MAX_INDEL_BP)
    else:
        size = min(int(rng.geometric(0.45)), MAX_INDEL_BP)
    ref = bases[start : start + 1].tobytes()
    behind = bases[start + 1 : start + 1 + size].tobytes()
    if rng.random() < 0.5:
        return left_aligned(bases, start, ref + behind, ref)
    added = behind if unit or rng.random() < 0.5 else random_bases(size, 0.45, rng).tobytes()
    if unit and len(added) > unit:
        added = added[:unit] * (size // unit)
    return left_aligned(bases, start, ref, ref + added)


def _tandem_repeats(bases: Bases) -> NDArray[np.int64]:
    """(base before the repeat, end, unit bp) of homopolymers from 5 bp and of 2 to 4 bp units from 3 copies; sorted."""
    found = []
    for unit, copies in ((1, 5), (2, 4), (3, 3), (4, 3)):
        start, end = runs_of_unit(bases, unit, copies)
        found.append(np.stack([start - 1, end, np.full(len(start), unit)], axis=1))
    rows = np.concatenate(found)
    rows = rows[rows[:, 0] > 0]
    return rows[np.argsort(rows[:, 0], kind="stable")]


def runs_of_unit(bases: Bases, unit: int, copies: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of stretches that repeat every `unit` bp, `copies` times or more.

    N does not repeat, and a homopolymer repeats every 1 bp only.
    """
    same = (bases[unit:] == bases[:-unit]) & (bases[unit:] != N)
    if unit > 1:
        lesser = bases[1:] == bases[:-1]
        same &= ~(lesser[unit - 1 :] & lesser[: len(lesser) - unit + 1])
    edges = np.flatnonzero(np.diff(same, prepend=False, append=False)).reshape(-1, 2)
    start, end = edges[:, 0], edges[:, 1] + unit
    long = end - start >= unit * copies
    return start[long], end[long]
