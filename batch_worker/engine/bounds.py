"""Which positions the caller cannot call as variants, by bounds on its likelihoods (bcftools `call -m`, htslib errmod).

A set of alleles wins over the reference alone only if its likelihood times the prior is higher; it is a weighted mean
of genotype likelihoods, so the best genotype must be better than the homozygous reference by the prior. What is
compared here is therefore the most that any genotype can gain over the homozygous reference.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

MOST_QUALITY = 60
"""The caller caps a base's quality at this."""

SURE_QUALITY = 20
"""Bases below are counted as `low`."""

_LEFT_OF_SURE = 16  # what a disagreeing mate leaves of SURE_QUALITY
_DEEPEST = 255
_ROUNDING = 1.0  # the caller rounds likelihoods to whole Phred
_DEPENDENCE, _FLOOR = 0.83, 0.03  # of errmod: a further base of a strand counts this much of the one before


def could_vary(
    depth: NDArray[np.int64],
    odd: NDArray[np.int64],
    quality: NDArray[np.int64],
    low: NDArray[np.int64],
    prior: float,
) -> NDArray[np.bool_]:
    """Whether a genotype other than the homozygous reference could be called at each position.

    Args:
        depth: Bases that the caller counts, below 256 (deeper ones give no promise).
        odd: Bases of these that differ from the reference; may be too many, not too few.
        quality: Sum of the qualities of the odd bases (Phred, each at most `MOST_QUALITY`); may be too high.
        low: Bases whose quality or mapping quality is below `SURE_QUALITY`; may be too many.
        prior: Of a position that differs.
    """
    gain_needed = (-10 * np.log10(prior) if 0 < prior < 1 else 0.0) - _ROUNDING
    could = np.zeros(len(depth), dtype=bool)
    open_ = np.flatnonzero(quality >= gain_needed)
    seen = np.minimum(depth[open_], _DEEPEST)
    differ = np.minimum(odd[open_], _DEEPEST)
    alike = np.maximum(seen - differ, 0)
    sure = np.maximum(alike - low[open_], 0)
    het, homozygous = _costs()
    # A heterozygote must explain that so many reads show the reference; any other genotype, that they are errors.
    price = np.minimum(het[alike, differ], homozygous[seen, sure])
    could[open_] = (differ > alike) | (depth[open_] > _DEEPEST) | (quality[open_] - price >= gain_needed)
    return could


@cache
def _costs() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the reads that agree cost other genotypes (Phred).

    First by (reads that agree, reads that differ): reference and one other allele. Then by (depth, sure reads that
    agree): genotypes without the reference.
    """
    size = _DEEPEST + 1
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 2 * size)))])
    count = np.arange(size)
    agree, differ = count[:, None], count[None, :]
    ways = log_factorial[agree + differ] - log_factorial[agree] - log_factorial[differ]
    het = 10 / np.log(10) * ((agree + differ) * np.log(2) - ways)

    error = 10 ** (-_LEFT_OF_SURE / 10)
    worth = (1 - _FLOOR) * _DEPENDENCE ** np.arange(size) + _FLOOR  # all on one strand: the least they can be worth
    homozygous = np.zeros((size, size))
    for n in range(1, size):
        k = np.arange(n + 1)
        exactly = log_factorial[n] - log_factorial[k] - log_factorial[n - k] + k * np.log(error)
        exactly += (n - k) * np.log1p(-error)
        at_least = np.logaddexp.accumulate(exactly[::-1])[::-1]  # log P(at least k errors among n)
        beta = 10 / np.log(10) * (at_least[:-1] - at_least[1:])
        homozygous[n, 1 : n + 1] = np.cumsum(worth[:n] * beta)
    return het, homozygous
