"""What is reported, what is withheld, and what is neither."""

import pytest

from shared.domain.finding import Significance, interpret, significance_of
from shared.domain.variant import Allele, AnnotatedVariant, ClinVarRecord, Zygosity


def variant(significance: str | None, filters: tuple[str, ...] = ("PASS",), pos: int = 100) -> AnnotatedVariant:
    record = ClinVarRecord("17661", significance, "reviewed_by_expert_panel") if significance is not None else None
    return AnnotatedVariant(
        Allele("chr17", pos, "A", "C"), filters, 50.0, Zygosity.HETEROZYGOUS, 30, 15, 0.5, clinvar=record
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pathogenic", Significance.PATHOGENIC),
        ("Likely_pathogenic", Significance.LIKELY_PATHOGENIC),
        ("Pathogenic/Likely_pathogenic", Significance.LIKELY_PATHOGENIC),  # what all submitters support
        ("Pathogenic|risk_factor", Significance.PATHOGENIC),
        ("Pathogenic/Likely_pathogenic/Pathogenic,_low_penetrance|other", Significance.LIKELY_PATHOGENIC),
        ("Uncertain_significance", Significance.UNCERTAIN),
        ("Benign/Likely_benign", Significance.LIKELY_BENIGN),
        ("Conflicting_classifications_of_pathogenicity", None),  # never the worst one silently
        ("Benign/Pathogenic", None),
        ("Uncertain_significance/Benign", None),
        ("drug_response", None),
        ("not_provided", None),
        ("", None),
    ],
)
def test_the_significance_is_what_all_of_the_record_supports(text, expected):
    assert significance_of(ClinVarRecord("1", text, "")) is expected


def test_pathogenic_alleles_that_pass_are_reported_with_the_reason():
    triage = interpret([variant("Likely_pathogenic"), variant("Benign", pos=200), variant(None, pos=300)])
    assert [finding.significance for finding in triage.findings] == [Significance.LIKELY_PATHOGENIC]
    assert triage.findings[0].reason == (
        "ClinVar 17661 holds this allele as Likely pathogenic (reviewed by expert panel)."
    )
    assert [other.allele.pos for other in triage.others] == [200, 300]
    assert triage.withheld == ()


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (("LowQual", "StrandBias"), "it did not pass filter LowQual, StrandBias"),
        ((), "the caller's filters were not applied"),
    ],
)
def test_a_pathogenic_allele_that_fails_a_filter_is_withheld_by_name_and_counted_among_the_others(filters, why):
    failed = variant("Pathogenic", filters)
    triage = interpret([failed])
    assert triage.findings == ()
    assert triage.others == (failed,)
    assert [one.variant for one in triage.withheld] == [failed]
    assert triage.withheld[0].reason == f"Not reported because {why}: ClinVar 17661 holds this allele as Pathogenic."


def test_findings_and_others_are_all_variants_in_order():
    variants = [variant("Pathogenic", pos=pos) if pos % 2 else variant(None, pos=pos) for pos in range(1, 9)]
    triage = interpret(iter(variants))
    assert sorted([f.variant.allele.pos for f in triage.findings] + [o.allele.pos for o in triage.others]) == list(
        range(1, 9)
    )
    assert [finding.variant.allele.pos for finding in triage.findings] == [1, 3, 5, 7]
