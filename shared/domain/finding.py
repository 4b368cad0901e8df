"""A finding: a variant that the test reports, and why.

What is reportable is decided here, purely, from the annotated variant.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique

from shared.domain.variant import AnnotatedVariant, ClinVarRecord


@unique
class Significance(StrEnum):
    """Clinical significance in the words of ACMG/AMP."""

    PATHOGENIC = "Pathogenic"
    LIKELY_PATHOGENIC = "Likely pathogenic"
    UNCERTAIN = "Uncertain significance"
    LIKELY_BENIGN = "Likely benign"
    BENIGN = "Benign"


REPORTABLE = frozenset({Significance.PATHOGENIC, Significance.LIKELY_PATHOGENIC})


@dataclass(frozen=True, slots=True)
class Finding:
    """A variant with clinical significance: reported, or withheld.

    Attributes:
        variant: The variant with its evidence.
        significance: What the report says of it.
        reason: One sentence, without patient data: why it is reported, or why it is not.
    """

    variant: AnnotatedVariant
    significance: Significance
    reason: str


@dataclass(frozen=True, slots=True)
class Triage:
    """What the test reports of a sample's variants, and what not; every tuple is in the order of the variants.

    `findings` and `others` together are all the variants, each once, so that they can be counted against them.

    Attributes:
        findings: Reported variants.
        others: All variants that are not reported, the withheld ones among them.
        withheld: Variants that ClinVar holds as (likely) pathogenic but that did not pass the caller's filters.
            They are no results, yet the report names them with their `reason`, so that the signer can have
            them confirmed by another method.
    """

    findings: tuple[Finding, ...]
    others: tuple[AnnotatedVariant, ...]
    withheld: tuple[Finding, ...] = ()


_MEANING = {
    "pathogenic": Significance.PATHOGENIC,
    # ClinGen's terms for low penetrance qualify the class and do not change it; the reason repeats them.
    "pathogenic, low penetrance": Significance.PATHOGENIC,
    "likely pathogenic": Significance.LIKELY_PATHOGENIC,
    "likely pathogenic, low penetrance": Significance.LIKELY_PATHOGENIC,
    "uncertain significance": Significance.UNCERTAIN,
    "likely benign": Significance.LIKELY_BENIGN,
    "benign": Significance.BENIGN,
}
"""ClinVar's germline terms, spaces restored, lower case."""

_WEAKEST_FIRST = (
    Significance.UNCERTAIN,
    Significance.LIKELY_PATHOGENIC,
    Significance.PATHOGENIC,
    Significance.LIKELY_BENIGN,
    Significance.BENIGN,
)
_BENIGN = frozenset({Significance.BENIGN, Significance.LIKELY_BENIGN})


def significance_of(record: ClinVarRecord) -> Significance | None:
    """The single significance that a ClinVar record supports, or None when it has none or they conflict.

    ``Pathogenic/Likely_pathogenic`` counts as likely pathogenic: the weaker of the two is what all submitters
    support. What follows the first ``|`` (``risk_factor``, ``drug_response``, ``other``) adds to the class and does
    not change it. Conflicting records are never given their worst classification.
    """
    words = {part.strip().replace("_", " ").lower() for part in record.significance.split("|")[0].split("/")}
    if not words <= _MEANING.keys():
        return None
    values = {_MEANING[word] for word in words}
    if values & _BENIGN and values - _BENIGN:
        return None
    return next(term for term in _WEAKEST_FIRST if term in values)


def interpret(variants: Iterable[AnnotatedVariant]) -> Triage:
    """Split variants into what is reported and the rest.

    Reported are alleles that pass the caller's filters and that ClinVar holds, at exactly this allele, as
    pathogenic or likely pathogenic.
    """
    findings: list[Finding] = []
    others: list[AnnotatedVariant] = []
    withheld: list[Finding] = []
    for variant in variants:
        record = variant.clinvar
        significance = significance_of(record) if record else None
        if record is None or significance not in REPORTABLE:
            others.append(variant)
            continue
        assert significance is not None
        held = f"ClinVar {record.variation_id} holds this allele as {_words(record.significance)}"
        if variant.passes:
            findings.append(Finding(variant, significance, f"{held} ({_words(record.review_status)})."))
            continue
        failed = f"it did not pass filter {', '.join(variant.filters)}"
        why = failed if variant.filters else "the caller's filters were not applied"
        others.append(variant)
        withheld.append(Finding(variant, significance, f"Not reported because {why}: {held}."))
    return Triage(tuple(findings), tuple(others), tuple(withheld))


def _words(text: str) -> str:
    return text.replace("_", " ")
