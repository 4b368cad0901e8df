"""How two findings of one gene lie to each other: on the same copy of it or on different ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import combinations

from shared.domain.finding import Finding
from shared.domain.report_case import main_consequence
from shared.domain.variant import AnnotatedVariant, Consequence, Zygosity


@unique
class Phase(StrEnum):
    """What is known of two heterozygous variants; the values are those of HL7's code system."""

    TRANS = "Trans"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class PhasedPair:
    """Two heterozygous variants of one gene: together they may leave no working copy of it.

    Attributes:
        gene: The gene, as the first variant's main consequence names it.
    """

    first: AnnotatedVariant
    second: AnnotatedVariant
    gene: Consequence
    phase: Phase


def phased_pairs(findings: Sequence[Finding]) -> tuple[PhasedPair, ...]:
    """All pairs of heterozygous findings that touch one gene, in the order of the findings.

    Two alleles of one site are on different copies. Of others nothing is known: the calls are not phased.
    """
    single = [finding.variant for finding in findings if finding.variant.zygosity is Zygosity.HETEROZYGOUS]
    pairs = []
    for first, second in combinations(single, 2):
        one, other = main_consequence(first), main_consequence(second)
        if one and other and one.gene and one.gene == other.gene:
            pairs.append(PhasedPair(first, second, one, _phase(first, second)))
    return tuple(pairs)


def _phase(first: AnnotatedVariant, second: AnnotatedVariant) -> Phase:
    one, other = first.allele, second.allele
    is_one_site = (one.contig, one.pos, one.ref) == (other.contig, other.pos, other.ref)
    return Phase.TRANS if is_one_site else Phase.UNKNOWN
