"""Common sites: places where people often differ, and what a sample's reads show there. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommonSite:
    """A biallelic SNV that many people carry.

    Attributes:
        contig: The reference's name of it.
        pos: 1-based, as in VCF.
        ref: The reference's base.
        alt: The other base.
        frequency: Of `alt` in the population, 0 to 1.
    """

    contig: str
    pos: int
    ref: str
    alt: str
    frequency: float


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """Fragments of a sample over a common site, by the base that they show."""

    site: CommonSite
    ref: int
    alt: int
    other: int

    @property
    def depth(self) -> int:
        """Fragments that show one of the two alleles."""
        return self.ref + self.alt
