"""A sample's genotypes at common sites, and how well they agree with those known of the same person. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.sites import SiteCounts

MIN_DEPTH = 8
"""Fragments that a genotype needs."""

MIN_QUALITY = 20
"""Phred quality that a genotype needs: how much likelier it is than the next best."""

MIN_SHARED_SITES = 20
"""Sites with both genotypes that a comparison needs. Strangers agree at about 40 % of common sites, one person with
themselves at 99 %: twenty sites tell these apart."""

_ERROR = 0.01
_HIGHEST_QUALITY = 99

Letters = tuple[str, str]
"""The two alleles of a genotype, in order of letter."""

KnownGenotypes = Mapping[tuple[str, int], Letters]
"""Genotypes by contig and pos (1-based)."""


@dataclass(frozen=True, slots=True)
class Genotype:
    """What a sample has at a common site.

    Attributes:
        alts: Copies of the site's ALT allele; None when the reads cannot tell.
        quality: Phred.
    """

    counts: SiteCounts
    alts: int | None
    quality: int

    @property
    def letters(self) -> Letters | None:
        """The two alleles; None when the reads cannot tell."""
        if self.alts is None:
            return None
        ref, alt = self.counts.site.ref, self.counts.site.alt
        first, second = sorted((alt if self.alts == 2 else ref, alt if self.alts else ref))
        return first, second


@dataclass(frozen=True, slots=True)
class Concordance:
    """How many of the shared sites have the same genotype."""

    agreeing: int
    shared: int


def genotype(counts: SiteCounts) -> Genotype:
    """The likeliest of the three genotypes, all of them equally likely before."""
    share = (_ERROR, 0.5, 1 - _ERROR)
    scores = [counts.alt * math.log10(p) + counts.ref * math.log10(1 - p) for p in share]
    best = max(range(3), key=lambda alts: scores[alts])
    second = max(score for alts, score in enumerate(scores) if alts != best)
    quality = min(_HIGHEST_QUALITY, round(10 * (scores[best] - second)))
    is_clear = counts.depth >= MIN_DEPTH and quality >= MIN_QUALITY
    return Genotype(counts, best if is_clear else None, quality)


def compare(own: Sequence[Genotype], known: KnownGenotypes) -> Concordance:
    """Compare at the sites where both are known; a known genotype with a third allele is left out."""
    agreeing = shared = 0
    for one in own:
        site = one.counts.site
        letters, other = one.letters, known.get((site.contig, site.pos))
        if letters is None or other is None or not {site.ref, site.alt}.issuperset(other):
            continue
        shared += 1
        agreeing += letters == other
    return Concordance(agreeing, shared)
