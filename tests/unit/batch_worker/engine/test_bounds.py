"""No genotype can be called where `could_vary` says no: checked against the caller's likelihoods, written out."""

import math
import random

import numpy as np
import pytest

from batch_worker.engine.bounds import SURE_QUALITY, could_vary


def likelihoods(bases: list[tuple[int, int, int]]) -> dict[tuple[int, int], float]:
    """Phred by genotype of (quality, strand, letter) as htslib's errmod_cal has it; letter 0 is the reference."""
    n = len(bases)
    seen, on_strand = [0] * 5, {}
    worth = [0.0] * 5
    for quality, strand, letter in sorted(bases, key=lambda base: base[0], reverse=True):
        error = 10 ** (-max(quality, 4) / 10)
        tails = [
            sum(math.comb(n, i) * error**i * (1 - error) ** (n - i) for i in range(k, n + 1))
            for k in (seen[letter], seen[letter] + 1)
        ]
        beta = -10 * math.log10(tails[1] / tails[0])
        worth[letter] += (0.83 ** on_strand.get((strand, letter), 0) * 0.97 + 0.03) * beta
        seen[letter] += 1
        on_strand[strand, letter] = on_strand.get((strand, letter), 0) + 1
    found = {}
    for one in range(5):
        for other in range(one, 5):
            rest = sum(worth) - worth[one] - (worth[other] if other != one else 0)
            both = seen[one] + seen[other]
            het = 10 * math.log10(2**both / math.comb(both, seen[one])) if other != one else 0.0
            found[one, other] = rest + het
    return found


@pytest.mark.parametrize("prior", [0.005, 0.2])
def test_what_could_be_called_is_never_ruled_out(prior):
    rng = random.Random(5)
    ruled_out = callable_ = 0
    for _ in range(1_500):
        n = rng.choice([1, 2, 3, 4, 6, 8, 12, 20, 30, 60])
        share = rng.choice([0, 1 / n, 2 / n, 0.1, 0.3, 0.9])
        good = rng.choice([4, 10, 16, 25, 37, 60])
        bases = [
            (rng.choice([good, good, rng.choice([4, 12, 25, 37, 60])]), rng.randrange(2), letter)
            for letter in (rng.choice([1, 1, 2, 3]) if rng.random() < share else 0 for _ in range(n))
        ]
        odd = [base for base in bases if base[2]]
        could = could_vary(
            np.array([n]),
            np.array([len(odd)]),
            np.array([sum(base[0] for base in odd)]),
            np.array([sum(base[0] < SURE_QUALITY for base in bases)]),
            prior,
        )[0]
        phred = likelihoods(bases)
        if phred[0, 0] - min(phred.values()) >= -10 * math.log10(prior) - 0.5:
            callable_ += 1
            assert could, bases
        ruled_out += not could
    assert callable_ > 100
    assert ruled_out > 300


def test_one_odd_base_among_many_is_no_evidence_and_half_of_all_is():
    numbers = np.array([30, 30, 2, 1]), np.array([1, 15, 1, 1]), np.array([60, 450, 37, 10]), np.array([0, 0, 0, 0])
    assert could_vary(*numbers, 0.005).tolist() == [False, True, True, False]
