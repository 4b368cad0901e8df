"""Contamination from the alleles at common sites: mixtures of two people give back how they were mixed."""

import random

import pytest

from shared.domain.contamination import MIN_DEPTH, MIN_SITES, estimate_contamination, informative
from shared.domain.sites import CommonSite, SiteCounts


def site(number: int, frequency: float) -> CommonSite:
    return CommonSite("chr1", 1 + 1_000 * number, "A", "G", frequency)


def mixture(seed: int, alpha: float, sites: int = 1_000, depth: int = 30, error: float = 0.003) -> list[SiteCounts]:
    """Reads of one person with a part `alpha` of an unrelated other's, drawn base by base."""
    dice = random.Random(seed)
    found = []
    for number in range(sites):
        frequency = dice.uniform(0.1, 0.9)
        people = [[dice.random() < frequency for _ in range(2)] for _ in range(2)]
        shown = [0, 0, 0]
        for _ in range(max(1, round(dice.gauss(depth, depth**0.5)))):
            is_alt = dice.choice(people[dice.random() < alpha])
            if dice.random() < error:
                shown[dice.choice([2, 2, 1 - is_alt])] += 1
            else:
                shown[is_alt] += 1
        found.append(SiteCounts(site(number, frequency), *shown))
    return found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("alpha", "within"), [(0, 0.002), (0.01, 0.004), (0.03, 0.007), (0.1, 0.015), (0.3, 0.03)])
def test_a_mixture_at_30x_gives_back_its_part(seed: int, alpha: float, within: float) -> None:
    estimate = estimate_contamination(mixture(seed, alpha))
    assert estimate is not None
    assert abs(estimate.fraction - alpha) <= within
    assert estimate.sites == 1_000


def test_a_deeper_sample_with_more_errors_is_not_taken_for_a_contaminated_one() -> None:
    estimate = estimate_contamination(mixture(5, 0, depth=100, error=0.02))
    assert estimate is not None
    assert estimate.fraction <= 0.002


def test_too_few_sites_give_no_estimate_instead_of_a_guess() -> None:
    counts = mixture(1, 0.1, sites=MIN_SITES)
    assert estimate_contamination(counts) is not None
    assert estimate_contamination(counts[1:]) is None
    assert estimate_contamination([]) is None


def test_sites_too_thin_or_far_too_deep_are_not_used() -> None:
    usual = [SiteCounts(site(number, 0.5), 15, 15, 0) for number in range(9)]
    thin, deep = SiteCounts(site(9, 0.5), MIN_DEPTH - 1, 0, 4), SiteCounts(site(10, 0.5), 60, 31, 0)
    assert informative([*usual, thin, deep]) == usual


def test_the_estimate_does_not_depend_on_the_order_of_sites() -> None:
    counts = mixture(2, 0.03)
    assert estimate_contamination(counts) == estimate_contamination(counts[::-1])
