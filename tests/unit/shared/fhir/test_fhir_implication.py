"""What findings mean: significance, conditions, evidence, consequences, phase."""

import json
from typing import Any

import pytest

from shared.domain.finding import Significance
from shared.domain.variant import Consequence, Zygosity
from shared.fhir.implication import (
    condition_codings,
    conditions,
    consequence_terms,
    diagnostic_implication,
    molecular_consequences,
    phases,
)
from shared.fhir.links import Links
from tests import report_cases
from tests.report_cases import BRCA1_MISSENSE, case, clinvar, finding

MONDO = "http://purl.obolibrary.org/obo/mondo.owl"


def as_json(resource) -> dict[str, Any]:
    return json.loads(resource.model_dump_json())


def values(observation: dict[str, Any], code: str) -> list[Any]:
    found = [part for part in observation["component"] if part["code"]["coding"][0]["code"] == code]
    return [part.get("valueCodeableConcept", part.get("valueString")) for part in found]


def implied(one) -> dict[str, Any]:
    found = case(one)
    return as_json(diagnostic_implication(Links(found), one))


@pytest.mark.parametrize(
    ("significance", "code"),
    [
        (Significance.PATHOGENIC, "LA6668-3"),
        (Significance.LIKELY_PATHOGENIC, "LA26332-9"),
        (Significance.UNCERTAIN, "LA26333-7"),
        (Significance.LIKELY_BENIGN, "LA26334-5"),
        (Significance.BENIGN, "LA6675-8"),
    ],
)
def test_the_significance_of_the_finding_is_what_is_sent(significance, code):
    one = implied(finding(significance=significance))
    assert values(one, "53037-8")[0]["coding"][0]["code"] == code
    assert not [key for key in one if key.startswith("value")]


def test_it_is_derived_from_its_variant_and_cites_clinvar():
    one = finding()
    links = Links(case(one))
    found = as_json(diagnostic_implication(links, one))
    assert found["derivedFrom"] == [{"reference": links.variant(one.variant.allele)}]
    assert found["extension"][0]["valueRelatedArtifact"]["url"].endswith("/clinvar/variation/55396/")


@pytest.mark.parametrize(
    ("status", "stars"),
    [
        ("practice_guideline", "4-star"),
        ("reviewed_by_expert_panel", "3-star"),
        ("criteria_provided,_multiple_submitters,_no_conflicts", "2-star"),
        ("criteria_provided,_single_submitter", "1-star"),
        ("no_assertion_criteria_provided", "no-star"),
        ("something_new", "no-star"),
    ],
)
def test_clinvars_review_status_becomes_stars(status, stars):
    (level,) = values(implied(finding(clinvar=clinvar(review_status=status))), "93044-6")
    assert level["coding"][0]["code"] == stars
    assert level["text"] == f"ClinVar review status: {status.replace('_', ' ')}"


def test_one_condition_carries_its_codes():
    (condition,) = values(implied(finding()), "81259-4")
    assert condition["text"] == "Breast-ovarian cancer, familial, susceptibility to, 1"
    assert {"system": MONDO, "code": "MONDO:0011450"} in condition["coding"]
    assert {"system": "http://www.omim.org", "code": "604370"} in condition["coding"]


def test_codes_of_several_conditions_are_not_tied_to_a_name():
    record = clinvar(conditions=("One", "Two"), condition_codes=("MONDO:MONDO:0000001", "OMIM:100000"))
    told = conditions(finding(clinvar=record).variant)
    assert [one.get("text") for one in told] == ["One", "Two", None, None]
    assert [len(one.get("coding", [])) for one in told] == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["not_provided", "not specified", "See cases"])
def test_a_record_without_condition_says_so(name):
    record = clinvar(conditions=(name,), condition_codes=("MedGen:C3661900",))
    assert conditions(finding(clinvar=record).variant) == [{"text": "Condition not named in the knowledge base"}]


def test_codes_of_unknown_systems_and_of_no_condition_are_left_out():
    entries = ("Gene:672,MONDO:MONDO:0011450|MedGen:CN517202", "Orphanet:ORPHA145", "MONDO:oops", "MONDO:MONDO:0011450")
    assert [one["code"] for one in condition_codings(entries)] == ["MONDO:0011450", "145"]


def test_a_finding_without_record_gives_its_reason_as_evidence():
    one = implied(finding(clinvar=None))
    assert values(one, "93044-6") == [{"text": "ClinVar none holds this allele as Pathogenic."}]
    assert "extension" not in one


def test_a_consequence_has_transcript_names_and_terms():
    one = report_cases.homozygous()
    (found,) = molecular_consequences(Links(one), one.findings[0])
    seen = as_json(found)
    assert values(seen, "51958-7")[0]["coding"][0]["code"] == "ENST00000380152.8"
    assert values(seen, "48004-6")[0]["coding"][0]["code"] == "ENST00000380152.8:c.5946del"
    assert values(seen, "48005-3")[0]["coding"][0]["code"] == "ENSP00000369497.3:p.(Ser1982ArgfsTer22)"
    assert [one["coding"][0]["code"] for one in values(seen, "feature-consequence")] == ["SO:0001589", "SO:0001630"]


def test_names_on_local_transcripts_are_words():
    one = report_cases.synthetic()
    (found,) = molecular_consequences(Links(one), one.findings[0])
    seen = as_json(found)
    assert values(seen, "conclusion-string") == ["SYN1: transcript T1, T1:c.13T>A, T1:p.(Ser5Thr)"]
    assert values(seen, "48004-6") == []


def test_there_is_one_consequence_per_gene():
    other = Consequence(("intron_variant",), "NBR1", "HGNC:6746", "NM_031858.3", hgvs_c="NM_031858.3:c.1+5C>T")
    minor = Consequence(("intron_variant",), "BRCA1", "HGNC:1100", "NM_007299.4", hgvs_c="NM_007299.4:c.1C>T")
    one = finding(consequences=(BRCA1_MISSENSE, minor, other))
    found = [as_json(each) for each in molecular_consequences(Links(case(one)), one)]
    assert [values(each, "51958-7")[0]["coding"][0]["code"] for each in found] == ["NM_007294.4", "NM_031858.3"]


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (("missense_variant",), ["SO:0001583"]),
        (("missense&splice_region",), ["SO:0001583", "SO:0001630"]),
        (("*stop_gained",), ["SO:0001587"]),
        (("5_prime_UTR_variant",), ["SO:0001623"]),
        (("something_else",), ["something_else"]),
        (("missense", "missense_variant"), ["SO:0001583"]),
    ],
)
def test_consequence_words_become_sequence_ontology(terms, told):
    found = [one["coding"][0]["code"] if "coding" in one else one["text"] for one in consequence_terms(terms)]
    assert found == told


@pytest.mark.parametrize(("name", "relation"), [("one_slash_two", "Trans"), ("two_in_one_gene", "Unknown")])
def test_two_heterozygous_findings_of_one_gene_are_related(name, relation):
    one = report_cases.CASES[name]()
    (found,) = (as_json(each) for each in phases(Links(one)))
    assert found["valueCodeableConcept"]["coding"][0]["code"] == relation
    assert len(found["derivedFrom"]) == 2


def test_a_homozygous_finding_is_related_to_nothing():
    one = case(finding(), finding(pos=1, zygosity=Zygosity.HOMOZYGOUS))
    assert phases(Links(one)) == []
