"""Genomic HGVS names of VCF alleles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.genomic_hgvs import are_equal, edit_of, genomic_name, shift_right

SEQUENCE = "GATTACAAAAACGTCGTCGTGGCCTA" + "CA" * 400 + "G"


def bases(start: int, end: int, /) -> str:
    return SEQUENCE[max(start, 0) : max(end, 0)]


@pytest.mark.parametrize(
    ("pos", "before", "after", "name"),
    [
        (1, "G", "C", "g.1G>C"),
        (6, "CA", "C", "g.11del"),  # A from 7 to 11: the last one
        (6, "CAA", "C", "g.10_11del"),
        (6, "C", "CA", "g.11dup"),
        (6, "C", "CAA", "g.10_11dup"),
        (11, "A", "AG", "g.11_12insG"),
        (11, "ACGT", "A", "g.18_20del"),  # CGT three times
        (11, "A", "ACGT", "g.18_20dup"),
        (1, "GAT", "G", "g.2_3del"),
        (2, "ATT", "GC", "g.2_4delinsGC"),
        (12, "CGT", "ACG", "g.12_14inv"),
        (3, "TT", "AA", "g.3_4inv"),
        (26, "ACA", "A", "g.825_826del"),  # a repeat longer than what is read at a time
        (1, "GA", "CA", "g.1G>C"),  # shared bases at the end are no part of the change
    ],
)
def test_a_vcf_allele_is_named_as_hgvs_asks(pos, before, after, name):
    assert SEQUENCE[pos - 1 : pos - 1 + len(before)] == before
    assert genomic_name("NC_1.1", edit_of(pos, before, after), bases) == f"NC_1.1:{name}"


def test_the_mitochondrion_has_its_own_axis():
    assert genomic_name("NC_012920.1", edit_of(1, "G", "C"), bases, mitochondrial=True) == "NC_012920.1:m.1G>C"


@given(st.integers(1, 900), st.integers(0, 6), st.text("ACGT", max_size=6))
def test_shifting_changes_nothing_but_the_place(pos, length, added):
    edit = edit_of(pos, SEQUENCE[pos - 1 : pos - 1 + length], added)
    shifted = shift_right(edit, bases)
    assert are_equal(edit, shifted, bases)
    assert shifted.start >= edit.start
    whole = SEQUENCE[: shifted.start] + shifted.inserted + SEQUENCE[shifted.end :]
    assert whole == SEQUENCE[: edit.start] + edit.inserted + SEQUENCE[edit.end :]
