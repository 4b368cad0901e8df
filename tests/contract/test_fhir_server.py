"""The local FHIR server against what is known of the FHIR service of Azure Health Data Services."""

import json
import uuid
from pathlib import Path

import httpx
import pytest

from tests.contract.node_fixtures import running_fhir_server

pytestmark = pytest.mark.contract

SYSTEM = "https://lab.example/mrn"
HEADERS = {"Content-Type": "application/fhir+json"}


@pytest.fixture(scope="module")
def client(fhir_server):
    with httpx.Client(base_url=fhir_server.url, headers=HEADERS, timeout=60) as client:
        yield client


@pytest.fixture
def key() -> str:
    """An id or identifier value that no other test uses."""
    return uuid.uuid4().hex


def patient(value: str, **more):
    return {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}], **more}


def observation(identity: str, patient_reference: str, **more):
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "69548-6"}]},
        "subject": {"reference": patient_reference},
        **more,
    }


def put(resource, **more):
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": f"http://x/{url}", "resource": resource, "request": {"method": "PUT", "url": url, **more}}


def create_once(resource, full_url: str):
    condition = f"identifier={SYSTEM}%7C{resource['identifier'][0]['value']}"
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition}
    return {"fullUrl": full_url, "resource": resource, "request": request}


def transaction(*entries):
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def found(client, query: str) -> list[dict]:
    answer = client.get(query)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def diagnostics(answer: httpx.Response) -> str:
    return " ".join(issue["diagnostics"] for issue in answer.json()["issue"])


def test_the_service_is_healthy_and_says_that_it_speaks_r4(client):
    assert client.get("/health/check").status_code == 200
    statement = client.get("/metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    assert {"code": "transaction"} in statement["rest"][0]["interaction"]


def test_putting_a_new_id_creates_and_putting_it_again_updates(client, key):
    first = client.put(f"/Patient/{key}", json=patient(key, id=key))
    second = client.put(f"/Patient/{key}", json=patient(key, id=key, gender="female"))
    assert (first.status_code, first.headers["etag"]) == (201, 'W/"1"')
    assert first.headers["location"].endswith(f"/Patient/{key}/_history/1")
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert "location" not in second.headers
    assert client.get(f"/Patient/{key}").json()["gender"] == "female"


def test_posting_gives_a_new_id_whatever_id_was_sent(client, key):
    answer = client.post("/Patient", json=patient(key, id="mine"))
    assert answer.status_code == 201
    assert answer.json()["id"] not in {"mine", ""}


def test_an_id_in_the_url_must_be_that_of_the_resource(client, key):
    assert client.put(f"/Patient/{key}", json=patient(key, id="other")).status_code == 400


def test_history_lists_all_versions_newest_first_and_reads_each(client, key):
    for gender in ("male", "female"):
        client.put(f"/Patient/{key}", json=patient(key, id=key, gender=gender))
    versions = client.get(f"/Patient/{key}/_history").json()["entry"]
    assert [version["resource"]["gender"] for version in versions] == ["female", "male"]
    assert client.get(f"/Patient/{key}/_history/1").json()["gender"] == "male"
    assert [entry["response"]["etag"] for entry in versions] == ['W/"2"', 'W/"1"']


def test_what_was_deleted_is_gone_and_what_never_was_is_not_found(client, key):
    client.put(f"/Patient/{key}", json=patient(key, id=key))
    assert client.delete(f"/Patient/{key}").status_code == 204
    assert client.get(f"/Patient/{key}").status_code == 410
    assert found(client, f"/Patient?identifier={key}") == []
    assert client.get(f"/Patient/never-{key}").status_code == 404
    assert client.delete(f"/Patient/never-{key}").status_code == 204


def test_an_update_with_if_match_needs_the_current_version(client, key):
    client.put(f"/Patient/{key}", json=patient(key, id=key))
    stale = client.put(f"/Patient/{key}", json=patient(key, id=key), headers={"If-Match": 'W/"7"'})
    current = client.put(f"/Patient/{key}", json=patient(key, id=key), headers={"If-Match": 'W/"1"'})
    assert (stale.status_code, current.status_code) == (412, 200)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "done"}, "observation-status"),
        ({"subject": {"reference": "Medication/1"}}, "Observation.subject"),
        ({"status": None}, "status"),
        ({"colour": "red"}, "colour"),
        ({"component": []}, "component"),
        ({"valueString": "a", "valueBoolean": True}, "value"),
        ({"effectiveDateTime": "2026-02-30"}, "dateTime"),
        ({"valueString": "a", "dataAbsentReason": {"text": "b"}}, "obs-6"),
    ],
    ids=["code", "reference target", "missing", "unknown element", "empty array", "two choices", "date", "invariant"],
)
def test_an_invalid_resource_is_refused_with_its_reason_and_not_stored(client, key, change, words):
    content = {name: value for name, value in observation(key, "Patient/1", **change).items() if value is not None}
    answer = client.put(f"/Observation/{key}", json=content)
    assert answer.status_code == 400
    assert words in diagnostics(answer)
    assert client.get(f"/Observation/{key}").status_code == 404


def test_references_to_other_servers_and_logical_references_are_allowed(client, key):
    for number, reference in enumerate(
        [{"reference": "https://ehr.example/fhir/Patient/1"}, {"identifier": {"system": SYSTEM, "value": key}}]
    ):
        resource = observation(f"{key}-{number}", "", subject=reference)
        assert client.put(f"/Observation/{key}-{number}", json=resource).status_code == 201


def test_validate_reports_issues_without_storing(client, key):
    good = client.post("/Observation/$validate", json=observation(key, "Patient/1"))
    bad = client.post("/Observation/$validate", json=observation(key, "Patient/1", status="done"))
    assert good.json()["issue"][0]["severity"] == "information"
    assert bad.json()["issue"][0]["severity"] == "error"
    assert client.get(f"/Observation/{key}").status_code == 404


def test_content_that_is_no_fhir_json_is_refused(client):
    assert client.post("/Patient", content=b"{", headers=HEADERS).status_code == 400
    assert client.post("/Patient", content=b"<x/>", headers={"Content-Type": "application/xml"}).status_code == 415
    assert client.get("/Genome").status_code == 404


def test_a_transaction_stores_all_entries_and_answers_in_order(client, key):
    urn = f"urn:uuid:{uuid.uuid4()}"
    bundle = transaction(put(observation(key, urn)), create_once(patient(key), urn))
    answer = client.post("/", json=bundle)
    assert answer.status_code == 200
    assert answer.json()["type"] == "transaction-response"
    responses = [entry["response"] for entry in answer.json()["entry"]]
    assert [response["status"] for response in responses] == ["201", "201"]
    assert f"/Observation/{key}/_history/1" in responses[0]["location"]
    stored = found(client, f"/Patient?identifier={SYSTEM}|{key}")
    assert len(stored) == 1
    # A reference to a POST entry by its urn:uuid becomes a literal one.
    assert client.get(f"/Observation/{key}").json()["subject"]["reference"] == f"Patient/{stored[0]['id']}"


def test_a_repeated_transaction_overwrites_and_creates_nothing_twice(client, key):
    urn = f"urn:uuid:{uuid.uuid4()}"
    content = json.dumps(transaction(create_once(patient(key), urn), put(observation(key, urn))))
    client.post("/", content=content)
    again = client.post("/", content=content).json()["entry"]
    assert [entry["response"]["status"] for entry in again] == ["200", "200"]
    # As Azure: no location of what was there, and nothing at all of a conditional create that matched.
    assert again[0] == {"response": {"status": "200"}}
    assert "location" not in again[1]["response"]
    assert len(found(client, f"/Patient?identifier={SYSTEM}|{key}")) == 1
    stored = client.get(f"/Observation/{key}").json()
    assert stored["meta"]["versionId"] == "2"
    assert stored["subject"]["reference"].startswith("Patient/")


def test_one_bad_entry_undoes_the_whole_transaction(client, key):
    client.put(f"/Patient/{key}", json=patient(key, id=key, gender="male"))
    answer = client.post(
        "/",
        json=transaction(
            put(patient(key, id=key, gender="female")),
            put(observation(f"{key}-good", f"Patient/{key}")),
            {"request": {"method": "DELETE", "url": f"Patient/{key}-other"}},
            put(observation(f"{key}-bad", f"Patient/{key}", status="done")),
        ),
    )
    assert answer.status_code == 400
    assert f"Observation/{key}-bad" in diagnostics(answer)
    assert client.get(f"/Patient/{key}").json()["gender"] == "male"
    assert client.get(f"/Patient/{key}").json()["meta"]["versionId"] == "1"
    assert client.get(f"/Observation/{key}-good").status_code == 404
    assert found(client, f"/Observation?subject=Patient/{key}") == []


def test_a_urn_of_a_put_with_its_own_id_is_not_rewritten(client, key):
    urn = f"urn:uuid:{uuid.uuid4()}"
    entry = put(patient(key, id=key))
    entry["fullUrl"] = urn
    assert client.post("/", json=transaction(entry, put(observation(key, urn)))).status_code == 200
    assert client.get(f"/Observation/{key}").json()["subject"]["reference"] == urn


def test_a_urn_of_a_conditional_put_is_rewritten_to_the_new_or_the_matched_resource(client, key):
    for expected_status in ("201", "200"):
        urn = f"urn:uuid:{uuid.uuid4()}"
        request = {"method": "PUT", "url": f"Patient?identifier={SYSTEM}%7C{key}"}
        entry = {"fullUrl": urn, "resource": patient(key), "request": request}
        answer = client.post("/", json=transaction(entry, put(observation(key, urn))))
        assert answer.json()["entry"][0]["response"]["status"] == expected_status
        stored = found(client, f"/Patient?identifier={SYSTEM}|{key}")
        assert len(stored) == 1
        assert client.get(f"/Observation/{key}").json()["subject"]["reference"] == f"Patient/{stored[0]['id']}"


def test_a_conditional_reference_is_resolved_to_what_was_stored_before(client, key):
    client.put(f"/Patient/{key}", json=patient(key, id=key))
    subject = f"Patient?identifier={SYSTEM}|{key}"
    assert client.post("/", json=transaction(put(observation(key, subject)))).status_code == 200
    assert client.get(f"/Observation/{key}").json()["subject"]["reference"] == f"Patient/{key}"


def test_a_conditional_reference_cannot_find_what_the_same_transaction_creates(client, key):
    subject = f"Patient?identifier={SYSTEM}|{key}"
    answer = client.post("/", json=transaction(put(patient(key, id=key)), put(observation(key, subject))))
    assert answer.status_code == 400
    assert "does not resolve" in diagnostics(answer)
    assert client.get(f"/Patient/{key}").status_code == 404


def test_a_condition_that_two_resources_match_is_a_failed_precondition(client, key):
    for number in range(2):
        client.put(f"/Patient/{key}-{number}", json=patient(key, id=f"{key}-{number}"))
    condition = f"identifier={SYSTEM}|{key}"
    in_transaction = client.post("/", json=transaction(create_once(patient(key), "urn:uuid:1")))
    alone = client.post("/Patient", json=patient(key), headers={"If-None-Exist": condition})
    conditional_put = client.put(f"/Patient?{condition}", json=patient(key))
    assert [answer.status_code for answer in (in_transaction, alone, conditional_put)] == [412, 412, 412]


def test_a_condition_with_an_unknown_parameter_is_refused_instead_of_matching_everything(client, key):
    answer = client.post("/Patient", json=patient(key), headers={"If-None-Exist": "identifeir=1"})
    assert answer.status_code == 400
    assert "identifeir" in diagnostics(answer)


def test_two_entries_for_one_resource_are_refused(client, key):
    answer = client.post("/", json=transaction(put(patient(key, id=key)), put(patient(key, id=key))))
    assert answer.status_code == 400
    assert "same resource" in diagnostics(answer)


@pytest.mark.parametrize(
    "request_of_entry",
    [
        {"method": "DELETE", "url": "Patient?identifier=1"},
        {"method": "POST", "url": "Patient/_search"},
        {"method": "FETCH", "url": "Patient/1"},
        {"method": "GET", "url": ""},
    ],
    ids=["conditional delete", "search by post", "unknown verb", "no url"],
)
def test_requests_that_the_service_refuses_inside_a_bundle_are_refused(client, request_of_entry):
    entry = {"request": request_of_entry, "resource": patient("1")}
    assert client.post("/", json=transaction(entry)).status_code == 400


def test_a_bundle_inside_a_transaction_is_refused(client):
    inner = {"resourceType": "Bundle", "type": "collection"}
    entry = {"resource": inner, "request": {"method": "POST", "url": "Bundle"}}
    assert client.post("/", json=transaction(entry)).status_code == 400


def test_five_hundred_entries_are_taken_and_one_more_is_refused(client, key):
    entries = [put(observation(f"{key}-{number}", "Patient/1")) for number in range(501)]
    too_many = client.post("/", json=transaction(*entries))
    assert too_many.status_code == 400
    assert diagnostics(too_many) == "The number of entries in the bundle exceeded the configured limit of 500."
    assert client.get(f"/Observation/{key}-0").status_code == 404
    assert client.post("/", json=transaction(*entries[:500])).status_code == 200
    assert client.get(f"/Observation/{key}-499").status_code == 200


def test_a_transaction_reads_what_it_wrote(client, key):
    read = {"request": {"method": "GET", "url": f"Patient/{key}"}}
    answer = client.post("/", json=transaction(read, put(patient(key, id=key))))
    assert answer.json()["entry"][0]["resource"]["id"] == key


def test_a_batch_keeps_what_is_good_and_reports_what_is_bad(client, key):
    bundle = transaction(put(patient(key, id=key)), put(observation(key, "Patient/1", status="done")))
    answer = client.post("/", json={**bundle, "type": "batch"}).json()
    assert answer["type"] == "batch-response"
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["201", "400"]
    assert client.get(f"/Patient/{key}").status_code == 200


@pytest.fixture
def report(client, key) -> str:
    """A patient with one finding and its report; all ids are the key."""
    gene = {"system": "http://www.genenames.org", "code": "HGNC:1100"}
    component = {"code": {"text": "gene"}, "valueCodeableConcept": {"coding": [gene]}}
    finding = observation(key, f"Patient/{key}", component=[component], effectiveDateTime="2026-01-01")
    derived_from = [{"reference": f"Observation/{key}"}]
    implication = observation(
        f"{key}-i", f"Patient/{key}", derivedFrom=derived_from, effectiveDateTime="2026-01-02T03:04:05Z"
    )
    document = {
        "resourceType": "DiagnosticReport",
        "id": key,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "51969-4"}]},
        "subject": {"reference": f"Patient/{key}"},
        "result": [{"reference": f"Observation/{key}"}],
    }
    entries = [put(resource) for resource in (patient(key, id=key), finding, implication, document)]
    assert client.post("/", json=transaction(*entries)).status_code == 200
    return key


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "/Observation?subject=Patient/{key}&component-value-concept=http://www.genenames.org|HGNC:1100",
            ["Observation/{key}"],
        ),
        ("/Observation?derived-from=Observation/{key}", ["Observation/{key}-i"]),
        (
            "/DiagnosticReport?patient={key}&code=http://loinc.org|51969-4&_include=DiagnosticReport:result",
            ["DiagnosticReport/{key}", "Observation/{key}"],
        ),
        ("/DiagnosticReport?subject:Patient.identifier=" + SYSTEM + "|{key}", ["DiagnosticReport/{key}"]),
        ("/Patient?_id={key}&_revinclude=DiagnosticReport:subject", ["Patient/{key}", "DiagnosticReport/{key}"]),
        ("/Observation?subject=Patient/{key}&component-value-concept=HGNC:1", []),
        ("/Observation?subject={key}&derived-from:missing=true", ["Observation/{key}"]),
        ("/Observation?subject:Patient={key}&derived-from:missing=false", ["Observation/{key}-i"]),
        ("/Observation?patient={key}&code:not=69548-6", []),
        ("/Observation?subject:Group={key}", []),
        ("/Observation?patient={key}&_sort=-date&date=ge2026-01-01", ["Observation/{key}-i", "Observation/{key}"]),
        ("/Observation?patient={key}&date=lt2026-01-02", ["Observation/{key}"]),
    ],
    ids=[
        "gene",
        "derived from",
        "include",
        "chain",
        "reverse include",
        "no match",
        "bare id",
        "typed id",
        "not",
        "other type",
        "sorted and dated",
        "before",
    ],
)
def test_the_searches_of_an_ehr_find_exactly_what_they_ask_for(client, report, query, expected):
    resources = found(client, query.format(key=report))
    names = [f"{resource['resourceType']}/{resource['id']}" for resource in resources]
    assert names == [name.format(key=report) for name in expected]


def test_a_search_answers_in_pages_of_ten_with_a_link_to_the_next(client, key):
    entries = [put(observation(f"{key}-{number:02}", f"Patient/{key}")) for number in range(12)]
    client.post("/", json=transaction(*entries))
    query = f"/Observation?subject=Patient/{key}"
    first = client.get(query).json()
    links = {link["relation"]: link["url"] for link in first["link"]}
    second = client.get(links["next"]).json()
    ids = [entry["resource"]["id"] for entry in first["entry"] + second["entry"]]
    assert (len(first["entry"]), ids) == (10, [f"{key}-{number:02}" for number in range(12)])
    assert [link["relation"] for link in second["link"]] == ["self"]
    assert "total" not in first
    assert client.get(f"{query}&_total=accurate").json()["total"] == 12
    counted = client.get(f"{query}&_summary=count").json()
    assert (counted["total"], counted.get("entry")) == (12, None)
    assert len(found(client, f"{query}&_count=50")) == 12


def test_a_search_by_post_answers_as_one_by_get(client, report):
    answer = client.post(
        "/Patient/_search",
        content=f"identifier={SYSTEM}%7C{report}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [report]


def test_an_unknown_search_parameter_is_ignored_with_a_note_or_refused_when_strict(client, report):
    lenient = client.get(f"/Patient?_id={report}&hair=red").json()["entry"]
    strict = client.get(f"/Patient?_id={report}&hair=red", headers={"Prefer": "handling=strict"})
    assert [entry["search"]["mode"] for entry in lenient] == ["match", "outcome"]
    assert strict.status_code == 400


@pytest.mark.parametrize(
    "query", ["component-value-quantity=gt5", "code:in=x", "subject:identifier=x", "_has:Provenance:target:agent=x"]
)
def test_a_search_that_this_server_cannot_do_is_refused_instead_of_finding_nothing(client, query):
    assert client.get(f"/Observation?{query}").status_code == 501


@pytest.mark.parametrize("query", ["_include=DiagnosticReport:nope", "_count=-1", "_count=many", "ct=x"])
def test_a_search_with_a_wrong_option_is_refused(client, report, query):
    assert client.get(f"/DiagnosticReport?_id={report}&{query}").status_code == 400


def test_a_chain_over_an_unknown_parameter_is_refused_when_strict(client):
    answer = client.get("/Observation?subject:Patient.hair=red", headers={"Prefer": "handling=strict"})
    assert answer.status_code == 400


def test_planned_faults_meet_the_next_requests_and_change_nothing(client, key):
    plan = {"status": 429, "retryAfterSeconds": 1, "times": 2}
    assert client.post("/local/fault", json=plan).status_code == 204
    answers = [client.put(f"/Patient/{key}", json=patient(key, id=key)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 201]
    assert answers[0].headers["retry-after"] == "1"
    assert answers[0].json()["resourceType"] == "OperationOutcome"


def test_a_fault_after_the_commit_loses_the_answer_but_not_the_work(client, key):
    client.post("/local/fault", json={"status": 503, "afterCommit": True})
    assert client.put(f"/Patient/{key}", json=patient(key, id=key)).status_code == 503
    assert client.get(f"/Patient/{key}").status_code == 200
    client.post("/local/fault", json={"status": 0, "afterCommit": True})
    with pytest.raises(httpx.RemoteProtocolError):
        client.delete(f"/Patient/{key}")
    assert client.get(f"/Patient/{key}").status_code == 410


def test_resources_survive_a_restart_also_after_a_torn_write_and_a_token_is_demanded(tmp_path: Path, key):
    with running_fhir_server(tmp_path) as service, httpx.Client(base_url=service.url, headers=HEADERS) as client:
        for gender in ("male", "female"):
            client.put(f"/Patient/{key}", json=patient(key, id=key, gender=gender))
        client.put("/Patient/deleted", json=patient("d", id="deleted"))
        client.delete("/Patient/deleted")
        client.post("/", json=transaction(put(patient("b", id="b")), put(observation("bad", "Patient/b", status="no"))))
    with (tmp_path / "journal.ndjson").open("ab") as journal:
        journal.write(b'[{"key":"Patient/torn","versionId":"1","resour')
    with (
        running_fhir_server(tmp_path, "--require-token", "s3cret") as service,
        httpx.Client(base_url=service.url, headers=HEADERS) as client,
    ):
        refused = [client.get("/Patient/b"), client.get("/Patient/b", headers={"Authorization": "Bearer wrong"})]
        assert [answer.status_code for answer in refused] == [401, 401]
        assert client.get("/health/check").status_code == 200
        client.headers["Authorization"] = "Bearer s3cret"
        assert client.get(f"/Patient/{key}").json()["gender"] == "female"
        assert len(client.get(f"/Patient/{key}/_history").json()["entry"]) == 2
        assert client.get("/Patient/deleted").status_code == 410
        assert client.get("/Patient/b").status_code == 404
        assert client.get("/Patient/torn").status_code == 404
        # The torn line is cut off, so that the next one is whole.
        assert client.put("/Patient/after", json=patient("a", id="after")).status_code == 201
    lines = (tmp_path / "journal.ndjson").read_text().splitlines()
    assert [json.loads(line)[0]["key"] for line in lines][-1] == "Patient/after"
