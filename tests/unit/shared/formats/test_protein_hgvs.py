"""Protein names and amino-acid changes that say the same, and such that do not."""

import pytest

from shared.formats.protein_hgvs import agrees, apply_change, translate

PROTEIN = "MKQQQSTLV*"


@pytest.mark.parametrize(
    ("amino_acids", "name"),
    [
        ("6S>6T", "p.(Ser6Thr)"),
        ("6S", "p.(Ser6=)"),
        ("6S>6*", "p.(Ser6Ter)"),
        ("2KQ>2K", "p.(Gln5del)"),  # bcftools takes the first of the run, HGVS the last
        ("2KQQ>2K", "p.(Gln4_Gln5del)"),
        ("2K>2KQ", "p.(Gln5dup)"),
        ("6S>6SW", "p.(Ser6_Thr7insTrp)"),
        ("6S>6HL", "p.(Ser6delinsHisLeu)"),
        ("6STLV*>6HW*", "p.(Ser6HisfsTer3)"),
        ("6STLV*>6HWW", "p.(Ser6HisfsTer?)"),
        ("6STLV*>6HWW", "p.(Ser6HisfsTer20)"),  # a stop behind the coding sequence, which bcftools does not read
        ("10*>10W", "p.(Ter10TrpextTer4)"),
    ],
)
def test_a_name_of_the_same_protein_agrees(amino_acids, name):
    change = apply_change(PROTEIN, amino_acids, ("x",))
    assert change is not None
    assert agrees(name, change)


@pytest.mark.parametrize(
    ("amino_acids", "name"),
    [
        ("6S>6T", "p.(Ser6Ala)"),
        ("6S>6T", "p.(Thr6Ser)"),
        ("6S>6T", "p.(Ser5Thr)"),
        ("6S>6T", "p.(Ser6=)"),
        ("6S", "p.(Ser6Thr)"),
        ("6S>6*", "p.(Ser6Thr)"),
        ("2KQ>2K", "p.(Gln4_Gln5del)"),
        ("6STLV*>6HW*", "p.(Ser6HisfsTer4)"),
        ("6STLV*>6HW*", "p.(Ser6HisfsTer?)"),
        ("6STLV*>6HWW", "p.(Ser6HisfsTer2)"),
        ("6STLV*>6HW*", "p.(Thr7HisfsTer2)"),
        ("6S>6T", "p.(Met1?)"),
        ("6S>6T", "p.?"),
        ("6S>6T", "p.Ser6Thr"),
        ("6S>6T", ""),
    ],
)
def test_a_name_of_another_protein_does_not(amino_acids, name):
    change = apply_change(PROTEIN, amino_acids, ("x",))
    assert change is not None
    assert not agrees(name, change)


def test_a_lost_start_is_known_by_its_word_only():
    lost = apply_change(PROTEIN, "1M>1L", ("start_lost",))
    assert lost is not None
    assert agrees("p.(Met1?)", lost)
    assert not agrees("p.(Met1Leu)", lost)


@pytest.mark.parametrize("amino_acids", ["6T>6S", "S6T", "", "99S>99T"])
def test_a_change_that_does_not_fit_the_protein_is_none(amino_acids):
    assert apply_change(PROTEIN, amino_acids, ()) is None


def test_translation_stops_at_whole_codons_and_keeps_unknown_bases_visible():
    assert translate("ATGTGGNNNTAAC") == "MWX*"
