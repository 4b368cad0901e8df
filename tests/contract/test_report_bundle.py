"""The report bundle against the local FHIR server: accepted, repeatable, and found by what an EHR asks for."""

import uuid
from dataclasses import replace

import pytest

from shared.adapters.fhir_server import FhirServer
from shared.domain.ids import AnalysisId
from shared.domain.report_case import ReportCase
from shared.fhir.bundle import build_bundle, split_bundle
from shared.report.page import render_page
from tests.report_cases import CASES, negative, patient_by_identifier, plan, positive, two_in_one_gene

pytestmark = pytest.mark.contract

SYSTEM = "https://ehr.example/mrn"


@pytest.fixture(scope="module")
def server(fhir_server):
    with FhirServer(fhir_server.url) as server:
        yield server


@pytest.fixture
def number() -> str:
    """A medical record number that no other test uses."""
    return uuid.uuid4().hex


def of_patient(case: ReportCase, number: str) -> ReportCase:
    """The case as one of a patient that the order knows by number, in an analysis of its own."""
    order = plan(patient={"identifier": {"system": SYSTEM, "value": number}}).order
    changed = case.plan.model_copy(update={"analysis": AnalysisId(number[:24]), "order": order})
    return replace(case, plan=changed)


def bundle_of(case: ReportCase) -> bytes:
    return build_bundle(case, render_page(case))


def found(server: FhirServer, query: str) -> list[dict]:
    return [entry["resource"] for entry in server.search(query).get("entry", [])]


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_report_is_accepted_and_posting_it_again_gives_the_same_resources(server, number, name):
    case = of_patient(CASES[name](), number)
    bundle = bundle_of(case)
    first = server.post_transaction(bundle)
    assert server.post_transaction(bundle) == first
    assert len(found(server, f"Patient?identifier={SYSTEM}|{number}")) == 1
    assert len(found(server, f"DiagnosticReport?subject:Patient.identifier={SYSTEM}|{number}")) == 1


@pytest.mark.parametrize(("make", "variants", "code"), [(positive, 1, "LA6576-8"), (negative, 0, "LA6577-6")])
def test_the_report_is_found_by_patient_with_all_its_results(server, number, make, variants, code):
    case = of_patient(make(), number)
    patient = next(one for one in server.post_transaction(bundle_of(case)) if one.startswith("Patient/"))
    answer = found(
        server,
        f"DiagnosticReport?patient={patient}&code=http://loinc.org|51969-4&_include=DiagnosticReport:result",
    )
    (report,) = (one for one in answer if one["resourceType"] == "DiagnosticReport")
    results = {f"Observation/{one['id']}" for one in answer if one["resourceType"] == "Observation"}
    assert report["subject"]["reference"] == patient
    assert report["conclusionCode"][0]["coding"][0]["code"] == code
    assert results == {one["reference"] for one in report.get("result", [])}
    found_variants = found(server, f"Observation?subject={patient}&code=http://loinc.org|69548-6")
    assert len(found_variants) == variants == len(case.findings)


def test_variants_are_found_by_gene_and_implications_by_significance(server, number):
    posted = server.post_transaction(bundle_of(of_patient(positive(), number)))
    patient = next(one for one in posted if one.startswith("Patient/"))
    by_gene = found(
        server,
        f"Observation?subject={patient}&code=http://loinc.org|69548-6"
        "&component-value-concept=http://www.genenames.org|HGNC:1100",
    )
    pathogenic = found(server, f"Observation?subject={patient}&component-value-concept=http://loinc.org|LA6668-3")
    assert [one["code"]["coding"][0]["code"] for one in by_gene] == ["69548-6"]
    assert [one["code"]["coding"][0]["code"] for one in pathogenic] == ["diagnostic-implication"]
    of_variant = found(server, f"Observation?derived-from=Observation/{by_gene[0]['id']}")
    assert {one["code"]["coding"][0]["code"] for one in of_variant} == {
        "diagnostic-implication",
        "molecular-consequence",
    }


def test_a_split_report_gives_the_same_resources_as_the_whole(server, number):
    bundle = bundle_of(of_patient(two_in_one_gene(), number))
    parts = [set(server.post_transaction(part)) for part in split_bundle(bundle, 8)]
    assert len(parts) > 1
    assert set.union(*parts) == set(server.post_transaction(bundle))


def test_a_second_report_of_a_patient_leaves_the_first(server, number):
    case = of_patient(patient_by_identifier(), number)
    server.post_transaction(bundle_of(case))
    other = replace(case, plan=case.plan.model_copy(update={"analysis": AnalysisId("f" + number[:23])}))
    server.post_transaction(bundle_of(other))
    assert len(found(server, f"DiagnosticReport?subject:Patient.identifier={SYSTEM}|{number}")) == 2


def test_a_number_with_a_comma_is_one_number(server, number):
    simple = of_patient(negative(), number)
    order = plan(patient={"identifier": {"system": SYSTEM, "value": f"{number},{number}"}}).order
    odd = replace(
        simple, plan=simple.plan.model_copy(update={"order": order, "analysis": AnalysisId("e" + number[:23])})
    )
    patients = [
        next(one for one in server.post_transaction(bundle_of(case)) if one.startswith("Patient/"))
        for case in (simple, odd, odd)
    ]
    assert patients[0] != patients[1] == patients[2]
