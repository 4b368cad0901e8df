"""Genotypes from counts, and how they agree with others'."""

import pytest

from shared.domain.fingerprint import Concordance, compare, genotype
from shared.domain.sites import CommonSite, SiteCounts

SITE = CommonSite("chr1", 100, "G", "A", 0.4)


def counts(ref: int, alt: int, site: CommonSite = SITE) -> SiteCounts:
    return SiteCounts(site, ref, alt, 0)


@pytest.mark.parametrize(
    ("ref", "alt", "letters"),
    [
        (30, 0, ("G", "G")),
        (29, 1, ("G", "G")),  # one stray read
        (14, 16, ("A", "G")),  # in order of letter
        (0, 25, ("A", "A")),
        (8, 0, ("G", "G")),
        (7, 0, None),  # too thin
        (10, 2, None),  # one or the other
        (0, 0, None),
    ],
)
def test_a_genotype_is_told_only_where_it_is_clear(ref: int, alt: int, letters: tuple[str, str] | None) -> None:
    assert genotype(counts(ref, alt)).letters == letters


def test_quality_is_capped_and_grows_with_depth() -> None:
    assert [genotype(counts(depth, 0)).quality for depth in (0, 8, 16, 200)] == [0, 24, 47, 99]


def test_only_sites_with_both_genotypes_of_the_same_two_alleles_are_compared() -> None:
    sites = [CommonSite("chr1", pos, "G", "A", 0.5) for pos in range(1, 7)]
    own = [genotype(counts(15, 15, site)) for site in sites[:5]] + [genotype(counts(2, 1, sites[5]))]
    known = {
        ("chr1", 1): ("A", "G"),  # agrees
        ("chr1", 2): ("G", "G"),  # does not
        ("chr1", 3): ("G", "T"),  # another allele: a misplaced or multiallelic site
        ("chr2", 4): ("A", "G"),  # elsewhere
        ("chr1", 6): ("A", "G"),  # our reads cannot tell
    }
    assert compare(own, known) == Concordance(agreeing=1, shared=2)
