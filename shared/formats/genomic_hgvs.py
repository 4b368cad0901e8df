"""Edits of a sequence, and their genomic HGVS names (g. and m.), 3'-shifted as HGVS asks.

Coordinates are 0-based half-open, except `pos` and the numbers in names, which are 1-based.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_BLOCK = 256
"""Bases read at a time while a repeat is followed; most indels move less."""


class Bases(Protocol):
    """Reads upper-case bases of one contig; what lies outside the contig is left out."""

    def __call__(self, start: int, end: int, /) -> str:
        """Bases from `start` to `end`."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """The bases from `start` to `end` are replaced by `inserted`."""

    start: int
    end: int
    inserted: str

    def applied(self, bases: Bases, start: int, end: int) -> str:
        """The stretch from `start` to `end`, which must hold the edit, after it."""
        return bases(start, self.start) + self.inserted + bases(self.end, end)


def edit_of(pos: int, ref: str, alt: str) -> Edit:
    """The smallest edit of a VCF allele: the bases that REF and ALT share at the ends are taken off."""
    start = pos - 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    shared = 0
    while shared < min(len(ref), len(alt)) and ref[shared] == alt[shared]:
        shared += 1
    return Edit(start + shared, start + len(ref), alt[shared:])


def are_equal(first: Edit, second: Edit, bases: Bases) -> bool:
    """Whether two edits leave the same sequence."""
    start, end = min(first.start, second.start), max(first.end, second.end)
    return first.applied(bases, start, end) == second.applied(bases, start, end)


def genomic_name(accession: str, edit: Edit, bases: Bases, *, mitochondrial: bool = False) -> str:
    """The HGVS name of an edit, such as ``NC_000017.11:g.43045703del``.

    Deletions, insertions and duplications are moved as far towards the 3' end of the forward strand as they go.
    """
    described = describe(shift_right(edit, bases), bases, lambda position: str(position + 1))
    return f"{accession}:{'m' if mitochondrial else 'g'}.{described}"


def describe(shifted: Edit, bases: Bases, number: Callable[[int], str]) -> str:
    """What follows ``g.`` or ``c.`` for an edit that has been shifted.

    Args:
        shifted: The edit.
        bases: Reads the sequence that the edit is on.
        number: How a position (0-based) is called in the name.
    """
    start, end, inserted = shifted.start, shifted.end, shifted.inserted
    deleted = bases(start, end)
    if len(deleted) == len(inserted) == 1:
        return f"{number(start)}{deleted}>{inserted}"

    def span(first: int, last: int) -> str:
        return number(first) if first == last else f"{number(first)}_{number(last)}"

    if not inserted:
        return f"{span(start, end - 1)}del"
    if deleted:
        is_inverted = len(deleted) > 1 and inserted == reverse_complement(deleted)
        return f"{span(start, end - 1)}{'inv' if is_inverted else 'delins' + inserted}"
    if bases(max(0, start - len(inserted)), start) == inserted:
        return f"{span(start - len(inserted), start - 1)}dup"
    return f"{number(start - 1)}_{number(start)}ins{inserted}"


def shift_right(edit: Edit, bases: Bases) -> Edit:
    """The same change written as far to the right as it goes; only pure insertions and deletions move."""
    start, end, inserted = edit.start, edit.end, edit.inserted
    if bool(inserted) == (end > start):
        return edit
    unit = inserted or bases(start, end)
    moved = 0
    while True:
        ahead = bases(end + moved, end + moved + _BLOCK)
        for base in ahead:
            if base != unit[moved % len(unit)]:
                break
            moved += 1
        else:
            if len(ahead) == _BLOCK:
                continue
        break
    turn = moved % len(unit)
    return Edit(start + moved, end + moved, inserted[turn:] + inserted[:turn])


def reverse_complement(bases: str) -> str:
    """The other strand, read from its own 5' end."""
    return bases.translate(_COMPLEMENT)[::-1]
