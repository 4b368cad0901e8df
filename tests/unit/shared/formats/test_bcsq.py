"""BCSQ in the words of the Sequence Ontology."""

import pytest

from shared.formats.bcsq import SEVERITY, parse_bcsq, severity, so_term


def test_an_entry_is_taken_apart_and_its_terms_are_sorted_by_severity():
    entries, elsewhere = parse_bcsq("splice_region&missense|BRCA1|T1|protein_coding|-|5S>5T|1013T>A,@1040")
    (entry,) = entries
    assert entry.terms == ("missense_variant", "splice_region_variant")
    assert (entry.gene, entry.transcript, entry.amino_acids, entry.dna_change) == ("BRCA1", "T1", "5S>5T", "1013T>A")
    assert not entry.is_compound
    assert elsewhere == [1040]


def test_a_haplotypes_consequence_is_known_by_its_changes():
    assert parse_bcsq("missense|G|T1|protein_coding|+|7I>7N|1040T>A+1041A>C")[0][0].is_compound


@pytest.mark.parametrize(
    ("word", "term"),
    [
        ("missense", "missense_variant"),
        ("*missense", "missense_variant"),
        ("stop_gained", "stop_gained"),
        ("5_prime_utr", "5_prime_UTR_variant"),
        ("non_coding", "non_coding_transcript_variant"),
        ("inframe_altering", "protein_altering_variant"),
        ("something_new", "something_new"),
    ],
)
def test_words_become_sequence_ontology_terms(word, term):
    assert so_term(word) == term


def test_unknown_terms_are_the_least_severe():
    assert severity("something_new") > severity(SEVERITY[-1])
    assert severity("stop_gained") < severity("missense_variant") < severity("synonymous_variant")
