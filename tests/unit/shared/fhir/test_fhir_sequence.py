"""Names of alleles and sequences."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.reference import Assembly, ContigEntry
from shared.domain.variant import Allele
from shared.fhir.links import accession_of
from shared.fhir.sequence import (
    change_type,
    describe_allele,
    genomic_name,
    is_accession,
    is_coding_hgvs,
    is_protein_hgvs,
    sequence_of,
)
from tests.report_cases import case, finding, plan

BASES = st.text("ACGT", min_size=1, max_size=6)


def contig(name: str, accession: str = "") -> ContigEntry:
    return ContigEntry(name=name, length=1000, md5="e" * 32, accession=accession)


@pytest.mark.parametrize(
    ("assembly", "name", "accession", "expected", "chromosome"),
    [
        (Assembly.GRCH38, "chr17", "NC_000017.11", "NC_000017.11", "17"),
        (Assembly.GRCH37, "17", "", "NC_000017.10", "17"),
        (Assembly.GRCH38, "chrX", "", "NC_000023.11", "X"),
        (Assembly.GRCH37, "MT", "", "NC_012920.1", ""),
        (Assembly.GRCH38, "chrUn_KI270302v1", "NT_187396.1", "NT_187396.1", ""),
        (Assembly.OTHER, "chr17", "NC_000017.11", "NC_000017.11", ""),
    ],
)
def test_a_contig_has_its_own_accession_or_its_assemblys(assembly, name, accession, expected, chromosome):
    one = case(finding(name, 5), frozen=plan(assembly, (contig(name, accession),)))
    found = sequence_of(one, one.findings[0].variant.allele)
    assert (found.accession, found.chromosome, found.is_public) == (expected, chromosome, True)


def test_a_contig_of_no_public_assembly_gets_an_accession_of_the_laboratory():
    one = case(finding("chr1", 5), frozen=plan(Assembly.OTHER, (contig("chr1"),)))
    found = sequence_of(one, one.findings[0].variant.allele)
    assert not found.is_public
    assert found.accession == accession_of("e" * 32)
    assert is_accession(found.accession)


def test_the_same_sequence_has_the_same_accession_under_any_name():
    assert accession_of("a") == accession_of("a") != accession_of("b")


@pytest.mark.parametrize(
    ("hgvs_g", "expected"),
    [
        ("NC_000017.11:g.43057065dup", "NC_000017.11:g.43057065dup"),
        ("chr17:g.43057065dup", "NC_000017.11:g.43057065dup"),
        ("", "NC_000017.11:g.5G>A"),
    ],
)
def test_a_genomic_name_stands_on_the_contigs_accession(hgvs_g, expected):
    one = case(finding(pos=5, hgvs_g=hgvs_g))
    variant = one.findings[0].variant
    assert genomic_name(sequence_of(one, variant.allele), variant) == expected


@given(st.integers(1, 10**6), BASES, BASES)
def test_a_description_turns_the_reference_into_the_alternative(pos, ref, alt):
    assume(ref != alt)
    text = describe_allele(Allele("1", pos, ref, alt))
    assert apply(text, pos, ref) == alt


def apply(text: str, pos: int, ref: str) -> str:
    """Read an HGVS description again, by itself, and carry it out on the reference allele at `pos`."""
    if ">" in text:
        place, _, new = text.partition(">")
        index = int(place[:-1]) - pos
        assert ref[index] == place[-1]
        return ref[:index] + new + ref[index + 1 :]
    for word in ("delins", "ins", "del"):
        place, found, new = text.partition(word)
        if found:
            break
    first, _, last = place.partition("_")
    start, end = int(first) - pos, int(last or first) - pos + 1
    if word == "ins":
        start, end = start + 1, end - 1
    return ref[:start] + new + ref[end:]


@pytest.mark.parametrize(
    ("ref", "alt", "hgvs", "code"),
    [
        ("A", "T", "x:g.1A>T", "SO:0001483"),
        ("AC", "GT", "x:g.1_2delinsGT", "SO:0002007"),
        ("AC", "A", "x:g.2del", "SO:0000159"),
        ("A", "AC", "x:g.1_2insC", "SO:0000667"),
        ("A", "AC", "x:g.4dup", "SO:1000035"),
        ("ACG", "TT", "x:g.1_3delinsTT", "SO:1000032"),
    ],
)
def test_the_kind_of_change_follows_from_the_alleles(ref, alt, hgvs, code):
    assert change_type(Allele("1", 1, ref, alt), hgvs)[0] == code


@pytest.mark.parametrize(
    ("name", "accession", "coding", "protein"),
    [
        ("NM_007294.4:c.5095C>T", False, True, False),
        ("NM_007294:c.5095C>T", False, False, False),
        ("NC_000017.11(NM_007294.4):c.5074+1G>A", False, True, False),
        ("ENST00000380152.8:c.5946del", False, True, False),
        ("NR_046018.2:n.12A>G", False, True, False),
        ("NP_009225.1:p.(Arg1699Trp)", False, False, True),
        ("T1:c.13T>A", False, False, False),
        ("NM_007294.4", True, False, False),
        ("ENST00000380152", False, False, False),
        ("", False, False, False),
    ],
)
def test_only_versioned_names_count_as_codes(name, accession, coding, protein):
    assert (is_accession(name), is_coding_hgvs(name), is_protein_hgvs(name)) == (accession, coding, protein)
