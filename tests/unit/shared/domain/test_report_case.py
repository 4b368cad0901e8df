"""What a report's case refuses and how it is interpreted as a whole."""

from datetime import datetime

import pytest

from shared.domain.report_case import (
    AlleleCounts,
    DataFile,
    FileRole,
    Interpretation,
    Quality,
    consequence_by_gene,
    main_consequence,
)
from shared.domain.variant import Consequence
from shared.domain.wording import conclude
from shared.errors import LedgerError, PermanentError
from tests.report_cases import MISSED, case, data_files, finding


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, Interpretation.NEGATIVE),
        ({"quality": Quality(1000)}, Interpretation.NEGATIVE),
        ({"quality": Quality(1000, mean_depth=10.0)}, Interpretation.NEGATIVE),
        ({"quality": Quality(1000, mean_depth=9.9)}, Interpretation.INCONCLUSIVE),
        ({"quality": Quality(0)}, Interpretation.INCONCLUSIVE),
        ({"quality": Quality(0, single_reads=1_000)}, Interpretation.NEGATIVE),
        ({"withheld": (finding(),)}, Interpretation.INCONCLUSIVE),
    ],
)
def test_finding_nothing_is_negative_only_where_something_would_have_been_seen(arguments, expected):
    assert case(**arguments).interpretation is expected


def test_without_clinvar_nothing_is_called_negative():
    plan = case().plan
    reference = plan.reference.model_copy(update={"versions": {"genes": "Ensembl 115"}})
    uninterpreted = case(frozen=plan.model_copy(update={"reference": reference}))
    assert uninterpreted.interpretation is Interpretation.INCONCLUSIVE
    assert "were called but not interpreted" in conclude(uninterpreted).headline
    assert "holds no ClinVar" in conclude(uninterpreted).text


def test_a_finding_is_positive_however_thin_the_data():
    assert case(finding(), quality=Quality(10, mean_depth=1.0)).interpretation is Interpretation.POSITIVE


def test_an_allele_reported_twice_is_refused():
    with pytest.raises(LedgerError, match="chr17-43057110-G-A is reported twice"):
        case(finding(), finding())


def test_more_findings_than_called_alleles_are_refused():
    with pytest.raises(LedgerError, match="1 findings of 0 called alleles"):
        case(finding(), counts=AlleleCounts(0))


def test_a_finding_on_an_unknown_contig_is_refused():
    with pytest.raises(PermanentError, match="contig 'chr9', which reference bundle grch38 does not have"):
        case(finding("chr9"))


def test_an_issue_time_without_zone_is_refused():
    with pytest.raises(PermanentError, match="has no zone"):
        case(issued=datetime(2026, 1, 1))  # noqa: DTZ001  # the missing zone is the fault


def test_an_address_with_a_signature_is_refused():
    with pytest.raises(PermanentError, match="carries a signature"):
        DataFile(FileRole.VARIANTS, "https://x.example/a.vcf.gz?sv=1&sig=abc", "a.vcf.gz", "application/gzip", 1)


def consequence(gene: str, hgvs_c: str = "") -> Consequence:
    return Consequence(("missense_variant",), gene, hgvs_c=hgvs_c)


@pytest.mark.parametrize(
    ("consequences", "main", "by_gene"),
    [
        ((), None, []),
        (("A", "B"), "A", ["A", "B"]),
        (("A", "B:c.1"), "B:c.1", ["B:c.1", "A"]),
        (("A", "A:c.1", "B", "A:c.2"), "A:c.1", ["A:c.1", "B"]),
        (("", "A"), "", ["A"]),
    ],
)
def test_the_consequence_with_a_coding_name_speaks_for_its_gene(consequences, main, by_gene):
    made = tuple(consequence(text.partition(":")[0], text if ":" in text else "") for text in consequences)

    def text(one: Consequence) -> str:
        return one.hgvs_c or one.gene

    variant = finding(consequences=made).variant
    chosen = main_consequence(variant)
    assert (text(chosen) if chosen else None) == main
    assert [text(one) for one in consequence_by_gene(variant)] == by_gene


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"withheld": (finding(),), "files": ()}, "1 variants and 0 files of results"),
        ({"files": data_files()}, "0 variants and 2 files of results"),
    ],
)
def test_a_report_without_result_that_holds_any_is_refused(arguments, words):
    with pytest.raises(LedgerError, match=f"is held, and its report holds {words}; it must hold none"):
        case(missed=MISSED, **arguments)
