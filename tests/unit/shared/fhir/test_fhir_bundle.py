"""The transaction bundle: what it holds, how its resources hang together, and that it is always the same bytes."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.report_case import AlleleCounts, Quality
from shared.domain.variant import Zygosity
from shared.errors import PermanentError
from shared.fhir.bundle import build_bundle, count_findings, split_bundle
from tests import report_cases
from tests.report_cases import CASES, FHIR_BASE, case, finding, plan

PAGE = "<!DOCTYPE html><html lang='en'><title>Page</title></html>"
IG = "http://hl7.org/fhir/uv/genomics-reporting/StructureDefinition/"

every_case = pytest.mark.parametrize("name", CASES)


def entries_of(bundle: bytes) -> list[dict[str, Any]]:
    return json.loads(bundle)["entry"]


def resources(bundle: bytes, resource_type: str = "") -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in entries_of(bundle)]
    return [one for one in found if resource_type in {"", one["resourceType"]}]


def of_profile(bundle: bytes, profile: str) -> list[dict[str, Any]]:
    return [one for one in resources(bundle) if IG + profile in one.get("meta", {}).get("profile", [])]


def walk(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)


def references(value: Any) -> set[str]:
    return {part["reference"] for part in walk(value) if isinstance(part, dict) and "reference" in part}


def provided(entries: list[dict[str, Any]]) -> set[str]:
    """What the entries can be referred to by: `Type/id` when put, the full URL when posted."""
    return {entry["request"]["url"] if entry["request"]["method"] == "PUT" else entry["fullUrl"] for entry in entries}


@every_case
def test_the_same_case_gives_the_same_bytes(name):
    assert build_bundle(CASES[name](), PAGE) == build_bundle(CASES[name](), PAGE)


@every_case
def test_every_reference_points_into_the_bundle_or_to_the_patient_of_the_order(name):
    bundle = build_bundle(CASES[name](), PAGE)
    outside = references(json.loads(bundle)) - provided(entries_of(bundle))
    patient = CASES[name]().plan.order.patient.reference
    assert outside == ({patient} if patient else set())


@every_case
def test_a_retry_puts_the_same_resources_or_finds_them_by_an_identifier_they_have(name):
    for entry in entries_of(build_bundle(CASES[name](), PAGE)):
        resource, request = entry["resource"], entry["request"]
        target = f"{resource['resourceType']}/{resource.get('id')}"
        if request["method"] == "PUT":
            assert request == {"method": "PUT", "url": target}
            assert entry["fullUrl"] == f"{FHIR_BASE}/{target}"
            assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", resource["id"])
        else:
            assert entry["fullUrl"].startswith("urn:uuid:")
            assert "%7C" in request["ifNoneExist"]
            assert "id" not in resource


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        ("MRN 12", "MRN%2012"),
        ("1&_x=2", "1%26_x%3D2"),
        ("12,34", "12%5C%2C34"),
        ("1|2", "1%5C%7C2"),
        ("1$2\\3", "1%5C%242%5C%5C3"),
    ],
)
def test_a_condition_escapes_what_would_make_it_find_another_patient(value, condition):
    identified = plan(patient={"identifier": {"system": "https://ehr.example/mrn", "value": value}})
    (patient,) = (
        entry
        for entry in entries_of(build_bundle(case(frozen=identified), PAGE))
        if entry["resource"]["resourceType"] == "Patient"
    )
    assert patient["request"]["ifNoneExist"] == f"identifier=https%3A%2F%2Fehr.example%2Fmrn%7C{condition}"


@every_case
def test_no_element_is_empty(name):
    for value in walk(json.loads(build_bundle(CASES[name](), PAGE))):
        assert value not in ({}, [], "", None)


@every_case
def test_all_resources_are_about_one_patient(name):
    subjects = {one["subject"]["reference"] for one in resources(build_bundle(CASES[name](), PAGE)) if "subject" in one}
    assert len(subjects) == 1


@every_case
def test_every_observation_has_both_categories_and_is_a_result_of_the_report(name):
    bundle = build_bundle(CASES[name](), PAGE)
    (report,) = resources(bundle, "DiagnosticReport")
    results = {one["reference"] for one in report.get("result", [])}
    for one in resources(bundle, "Observation"):
        codes = [[coding["code"] for coding in category["coding"]] for category in one["category"]]
        assert codes == [["laboratory"], ["GE"]]
        assert one["identifier"]
        assert one["specimen"]
        assert one["effectiveDateTime"]
        assert f"Observation/{one['id']}" in results


@every_case
def test_as_many_variants_are_counted_as_there_are_findings(name):
    assert count_findings(build_bundle(CASES[name](), PAGE)) == len(CASES[name]().findings)


def test_a_variant_that_went_missing_or_stands_twice_changes_no_other_count():
    content = json.loads(build_bundle(report_cases.two_in_one_gene(), PAGE))
    position = next(
        number
        for number, entry in enumerate(content["entry"])
        if IG + "variant" in entry["resource"].get("meta", {}).get("profile", [])
    )
    doubled = {**content, "entry": [*content["entry"], content["entry"][position]]}
    lost = {**content, "entry": content["entry"][:position] + content["entry"][position + 1 :]}
    assert count_findings(json.dumps(doubled).encode()) == 2
    assert count_findings(json.dumps(lost).encode()) == 1


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("positive", "LA6576-8", "Positive: 1 reportable variant was found."),
        ("negative", "LA6577-6", "Negative: No reportable variants found in all 4 sequences"),
    ],
)
def test_the_report_says_what_it_concludes_in_a_code_and_in_words(name, code, words):
    (report,) = resources(build_bundle(CASES[name](), PAGE), "DiagnosticReport")
    assert [coding["code"] for coding in report["conclusionCode"][0]["coding"]] == [code]
    assert report["conclusion"].startswith(words)
    assert report["code"]["coding"][0]["code"] == "51969-4"
    assert report["status"] == "final"


def test_the_report_carries_the_page_with_its_checksum():
    (report,) = resources(build_bundle(report_cases.positive(), PAGE), "DiagnosticReport")
    (form,) = report["presentedForm"]
    data = base64.b64decode(form["data"])
    assert data.decode() == PAGE
    assert form["size"] == len(data)
    assert base64.b64decode(form["hash"]) == hashlib.sha1(data, usedforsecurity=False).digest()
    assert form["contentType"].startswith("text/html")


def test_the_study_says_what_was_studied_how_deeply_and_against_which_build():
    bundle = build_bundle(report_cases.negative(), PAGE)
    (analysis,) = of_profile(bundle, "genomic-study-analysis")
    found = {one["url"].removeprefix(IG + "genomic-study-analysis-"): one for one in analysis["extension"]}
    regions = {one["url"]: one for one in found["regions"]["extension"]}
    metrics = {one["url"]: one for one in found["metrics"]["extension"]}
    assert "all 4 sequences" in regions["description"]["valueString"]
    assert "2.7% of the bases" in regions["description"]["valueString"]
    assert metrics["read-depth"]["valueQuantity"]["value"] == 31.42
    assert metrics["sequencing-coverage"]["valueQuantity"]["value"] == 0.973
    assert found["genome-build"]["valueCodeableConcept"]["coding"][0]["code"] == "LA26806-2"
    assert "clinvar 2026-11-01" in analysis["note"][0]["text"]


def test_the_study_says_whose_reads_they_are_when_that_was_measured():
    quality = Quality(10, contamination=0.013, identity_concordance=1.0, identity_sites=5_000)
    text = build_bundle(case(quality=quality), "page").decode()
    assert "1.3% of the reads are estimated to be another person's. 100.0% of 5,000 common sites have" in text
    assert "another person's" not in build_bundle(report_cases.negative(), "page").decode()


def test_a_genome_without_public_build_has_no_build_code():
    (analysis,) = of_profile(build_bundle(report_cases.synthetic(), PAGE), "genomic-study-analysis")
    assert not [one for one in analysis["extension"] if one["url"].endswith("genome-build")]


def test_files_have_their_checksum_and_no_credential():
    bundle = build_bundle(report_cases.positive(), PAGE)
    vcf, index = of_profile(bundle, "genomic-data-file")
    attachment = vcf["content"][0]["attachment"]
    assert attachment["hash"] == "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    assert attachment["url"].endswith("NA00001.annotated.vcf.gz")
    assert index["relatesTo"][0]["target"]["reference"] == f"DocumentReference/{vcf['id']}"


def test_an_order_of_the_ehr_is_referred_to_by_its_number_and_not_made_again():
    bundle = build_bundle(report_cases.patient_by_identifier(), PAGE)
    (report,) = resources(bundle, "DiagnosticReport")
    assert resources(bundle, "ServiceRequest") == []
    assert report["basedOn"] == [
        {"type": "ServiceRequest", "identifier": {"system": "https://ehr.example/orders", "value": "REQ-77"}}
    ]


def test_an_order_without_number_is_brought_along():
    bundle = build_bundle(report_cases.positive(), PAGE)
    (request,) = resources(bundle, "ServiceRequest")
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{request['id']}"}]
    assert (request["intent"], request["status"]) == ("order", "completed")


def test_a_patient_known_by_identifier_is_found_or_made_with_nothing_else():
    (patient,) = resources(build_bundle(report_cases.patient_by_identifier(), PAGE), "Patient")
    assert patient == {
        "resourceType": "Patient",
        "identifier": [{"system": "https://ehr.example/mrn", "value": "MRN 12"}],
    }


def test_a_patient_of_the_ehr_is_only_referred_to():
    bundle = build_bundle(report_cases.positive(), PAGE)
    assert resources(bundle, "Patient") == []
    assert "Patient/p-17" in references(json.loads(bundle))


def test_times_keep_their_zone_and_without_one_are_told_to_the_day():
    (specimen,) = resources(build_bundle(report_cases.patient_by_identifier(), PAGE), "Specimen")
    assert specimen["collection"]["collectedDateTime"] == "2026-10-30T07:45:00+01:00"
    assert specimen["receivedTime"] == "2026-10-31"


def test_the_specimen_is_the_same_for_another_analysis_of_it_and_the_report_is_not():
    first = report_cases.positive()
    again = replace(first, plan=first.plan.model_copy(update={"analysis": "f" * 24}))
    one, other = (build_bundle(each, PAGE) for each in (first, again))
    assert resources(one, "Specimen") == resources(other, "Specimen")
    assert resources(one, "Device") == resources(other, "Device")
    assert resources(one, "DiagnosticReport")[0]["id"] != resources(other, "DiagnosticReport")[0]["id"]


def test_a_specimen_number_used_for_two_patients_makes_two_specimens():
    one, other = (
        build_bundle(case(frozen=plan(patient={"reference": f"Patient/{patient}"})), PAGE) for patient in "ab"
    )
    assert resources(one, "Specimen")[0]["id"] != resources(other, "Specimen")[0]["id"]


def many_findings(count: int):
    return case(
        *(finding(pos=43_000_000 + 10 * number, zygosity=Zygosity.HOMOZYGOUS) for number in range(count)),
        counts=AlleleCounts(called=count),
        frozen=plan(patient={"identifier": {"system": "https://ehr.example/mrn", "value": "7"}}),
    )


@pytest.fixture(scope="module")
def large_bundle() -> bytes:
    """40 findings: 120 Observations and a dozen of other resources."""
    return build_bundle(many_findings(40), PAGE)


def test_a_bundle_that_fits_is_not_split():
    bundle = build_bundle(report_cases.positive(), PAGE)
    assert split_bundle(bundle) == (bundle,)


@pytest.mark.parametrize("max_entries", [130, 100, 20, 4])
def test_parts_refer_only_to_what_is_there_and_the_report_comes_last(large_bundle, max_entries):
    parts = split_bundle(large_bundle, max_entries)
    assert len(parts) > 1
    there: set[str] = set()
    for number, part in enumerate(parts):
        entries = entries_of(part)
        assert len(entries) <= max_entries
        there = {one for one in there if not one.startswith("urn:")} | provided(entries)
        assert references(json.loads(part)) <= there
        has_report = "DiagnosticReport" in {entry["resource"]["resourceType"] for entry in entries}
        assert has_report == (number == len(parts) - 1)
    assert there == provided(entries_of(large_bundle))
    assert sum(count_findings(part) for part in parts) == 40


def test_a_limit_without_room_for_the_report_is_refused():
    bundle = build_bundle(many_findings(1), PAGE)
    with pytest.raises(PermanentError, match="no room for the report"):
        split_bundle(bundle, 2)


@pytest.mark.parametrize(
    ("name", "report", "study", "order"),
    [
        ("held", "registered", "on-hold", "active"),
        ("rejected", "cancelled", "stopped", "revoked"),
        ("released", "final", "completed", "completed"),
    ],
)
def test_what_missed_its_limits_has_the_status_of_what_became_of_it(name, report, study, order):
    bundle = build_bundle(CASES[name](), PAGE)
    (found,) = resources(bundle, "DiagnosticReport")
    assert found["status"] == report
    assert ("conclusionCode" in found, "result" in found) == (name == "released", name == "released")
    assert "12.4; at least 30 is required" in found["conclusion"]
    assert of_profile(bundle, "genomic-study")[0]["status"] == study
    assert resources(bundle, "ServiceRequest")[0]["status"] == order


@pytest.mark.parametrize("name", ["held", "rejected"])
def test_a_report_without_result_tells_of_no_variant_and_of_the_quality_figures_alone(name):
    bundle = build_bundle(CASES[name](), PAGE)
    assert resources(bundle, "Observation") == []
    (document,) = resources(bundle, "DocumentReference")
    assert document["content"][0]["attachment"]["title"] == "NA00001.qc.json"
    assert not re.search(r"alleles were called|met the rule", bundle.decode())


def test_every_resource_of_a_held_report_is_replaced_by_what_follows():
    held, rejected, released = (
        provided(entries_of(build_bundle(CASES[name](), PAGE))) for name in ("held", "rejected", "released")
    )
    assert held == rejected
    assert held < released


def test_who_decided_stands_in_the_provenance():
    (provenance,) = resources(build_bundle(report_cases.released(), PAGE), "Provenance")
    verifier = provenance["agent"][-1]
    assert verifier["type"]["coding"][0]["code"] == "verifier"
    assert verifier["who"]["display"] == "lab-director"
    assert provenance["recorded"] == "2026-11-03T10:00:00Z"
