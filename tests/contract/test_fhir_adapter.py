"""The FHIR adapter against the local FHIR server: results, repetitions, refusals, and what it never says."""

import json
import logging
import time
import uuid
from dataclasses import dataclass, field

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.adapters.fhir_server import FhirServer
from shared.errors import PermanentError, TransientError
from tests.contract.node_fixtures import running_fhir_server

pytestmark = pytest.mark.contract

SYSTEM = "https://lab.example/mrn"


@dataclass
class Waits:
    """Stands in for sleeping; remembers how long."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def server(fhir_server, waits):
    with FhirServer(fhir_server.url, sleep=waits) as server:
        yield server


@pytest.fixture
def plan_fault(fhir_server):
    def plan(**fault):
        httpx.post(f"{fhir_server.url}/local/fault", json=fault).raise_for_status()

    yield plan
    httpx.delete(f"{fhir_server.url}/local/fault").raise_for_status()


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


def bundle_of(key: str, status: str = "final", **subject) -> bytes:
    """A patient who is created once, and a finding with its own id."""
    urn = "urn:uuid:6a1c8e9c-6d0a-4c3d-9d0e-7d3c2e3f4a5b"
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": key}],
        "name": [{"family": "Lovelace", "given": ["Ada"]}],
    }
    finding = {
        "resourceType": "Observation",
        "id": key,
        "status": status,
        "code": {"text": "variant"},
        "subject": {"reference": urn, **subject},
    }
    condition = f"identifier={SYSTEM}%7C{key}"
    entries = [
        {
            "fullUrl": urn,
            "resource": patient,
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition},
        },
        {"resource": finding, "request": {"method": "PUT", "url": f"Observation/{key}"}},
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def test_a_transaction_returns_the_references_of_what_is_stored_in_order(server, key):
    patient, finding = server.post_transaction(bundle_of(key))
    stored = server.search(f"Observation?_id={key}")["entry"][0]["resource"]
    assert finding == f"Observation/{key}"
    assert stored["subject"]["reference"] == patient


def test_a_repeated_transaction_returns_the_same_references(server, key):
    # The server says nothing of a patient who was there, and no location of a finding that it overwrote.
    assert server.post_transaction(bundle_of(key)) == server.post_transaction(bundle_of(key))


def test_the_server_s_wait_is_kept_and_the_transaction_repeated(server, key, waits, plan_fault):
    plan_fault(status=429, retryAfterSeconds=7)
    plan_fault(status=503, retryAfterMs=1500)
    plan_fault(status=500)
    assert server.post_transaction(bundle_of(key))[1] == f"Observation/{key}"
    assert waits.seconds == [7.0, 1.5, 4.0]


def test_a_lost_answer_is_repeated_and_stores_nothing_twice(server, key, plan_fault):
    plan_fault(status=0, afterCommit=True)
    patient, _ = server.post_transaction(bundle_of(key))
    found = server.search(f"Patient?identifier={SYSTEM}|{key}")["entry"]
    assert [f"Patient/{entry['resource']['id']}" for entry in found] == [patient]


def test_a_server_that_stays_busy_is_a_transient_failure_after_a_bounded_number_of_attempts(
    server, key, waits, plan_fault
):
    plan_fault(status=429, retryAfterSeconds=1, times=5)
    with pytest.raises(TransientError, match=r"in 5 attempts; the last one: HTTP 429"):
        server.post_transaction(bundle_of(key))
    assert waits.seconds == [1.0] * 4
    assert server.search(f"Observation?_id={key}").get("entry", []) == []


def test_a_server_that_asks_for_a_long_wait_is_left_to_the_queue(server, key, waits, plan_fault):
    plan_fault(status=429, retryAfterSeconds=120)
    with pytest.raises(TransientError, match="asks to wait 120 s"):
        server.post_transaction(bundle_of(key))
    assert waits.seconds == []


def test_a_refused_bundle_is_permanent_and_says_what_is_wrong_and_where(server, key, waits):
    with pytest.raises(PermanentError, match=r"refused the transaction with HTTP 400.*observation-status.*status"):
        server.post_transaction(bundle_of(key, status="done"))
    assert waits.seconds == []


def test_a_refusal_names_no_patient(server, key, plan_fault):
    plan_fault(
        status=400,
        diagnostics=f"Given conditional reference 'Patient?identifier={SYSTEM}|{key}' for Lovelace, Ada ({key}) in "
        "Patient/0815-x, known as A. Lovelace, is bad at Observation.subject.",
    )
    with pytest.raises(PermanentError, match=r"bad at Observation\.subject") as refused:
        server.post_transaction(bundle_of(key, display="A. Lovelace"))
    for secret in (key, "Lovelace", "Ada", "0815"):
        assert secret not in str(refused.value)


def test_two_patients_with_one_identifier_are_a_permanent_failure_without_the_identifier(server, fhir_server, key):
    for number in range(2):
        patient = {
            "resourceType": "Patient",
            "id": f"{key}-{number}",
            "identifier": [{"system": SYSTEM, "value": key}],
        }
        httpx.put(f"{fhir_server.url}/Patient/{key}-{number}", json=patient).raise_for_status()
    with pytest.raises(PermanentError, match=r"HTTP 412.*not selective enough") as refused:
        server.post_transaction(bundle_of(key))
    assert key not in str(refused.value)


def test_a_search_returns_all_pages_as_one_bundle(server, fhir_server, key):
    for number in range(23):
        resource = {
            "resourceType": "Basic",
            "id": f"{key}-{number}",
            "code": {"coding": [{"system": SYSTEM, "code": key}]},
        }
        httpx.put(f"{fhir_server.url}/Basic/{key}-{number}", json=resource).raise_for_status()
    bundle = server.search(f"Basic?code={key}")
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == [f"{key}-{number}" for number in range(23)]
    assert [link["relation"] for link in bundle["link"]] == ["self"]


def test_a_search_with_an_unknown_parameter_is_refused_and_its_values_are_not_repeated(server):
    with pytest.raises(PermanentError, match="refused the search for Patient with HTTP 400") as refused:
        server.search("Patient?hair=red&family=Lovelace")
    assert "Lovelace" not in str(refused.value)


def test_a_search_that_the_server_cannot_do_is_not_repeated(server, waits):
    with pytest.raises(PermanentError, match="HTTP 501"):
        server.search("Observation?component-value-quantity=5")
    assert waits.seconds == []


def test_no_address_with_a_patient_reaches_the_log(server, key, caplog):
    with caplog.at_level(logging.DEBUG):
        server.search(f"Observation?subject=Patient/{key}")
    assert not any(key in record.getMessage() for record in caplog.records)


def test_health_is_told_without_raising(server):
    assert server.is_healthy()
    with FhirServer("http://127.0.0.1:9") as nobody:
        assert not nobody.is_healthy()


def test_an_unreachable_server_is_a_transient_failure_without_the_query(waits):
    with (
        FhirServer("http://127.0.0.1:9", sleep=waits, max_attempts=2) as nobody,
        pytest.raises(TransientError, match="ConnectError") as failed,
    ):
        nobody.search("Patient?family=Lovelace")
    assert "Lovelace" not in str(failed.value)
    assert waits.seconds == [1.0]


def test_an_address_that_is_no_fhir_service_is_a_permanent_failure(azurite, key):
    with (
        FhirServer(f"http://127.0.0.1:{azurite.blob_port}", sleep=Waits()) as storage,
        pytest.raises(PermanentError, match="FHIR service root"),
    ):
        storage.post_transaction(bundle_of(key))


@dataclass
class Credential:
    """Gives a token and counts how often it is asked."""

    token: str
    lifetime_seconds: int = 3600
    scopes: list[str] = field(default_factory=list)

    def get_token(self, *scopes: str, **_options) -> AccessToken:
        self.scopes.extend(scopes)
        return AccessToken(self.token, int(time.time()) + self.lifetime_seconds)


class NoCredential:
    """An identity that the platform does not know."""

    def get_token(self, *_scopes: str, **_options) -> AccessToken:
        raise ClientAuthenticationError("no identity")


def test_tokens_are_sent_reused_and_renewed_before_they_expire(tmp_path, key):
    with running_fhir_server(tmp_path, "--require-token", "s3cret") as service:
        good = Credential("s3cret")
        with FhirServer(service.url, good, "https://fhir.example/") as server:
            server.post_transaction(bundle_of(key))
            server.search("Patient")
        assert good.scopes == ["https://fhir.example/.default"]
        short = Credential("s3cret", lifetime_seconds=60)
        with FhirServer(service.url, short) as server:
            server.search("Patient")
            server.search("Patient")
        assert short.scopes == [f"{service.url}/.default"] * 2
        with (
            FhirServer(service.url, Credential("wrong")) as server,
            pytest.raises(PermanentError, match=r"HTTP 401.*FHIR Data Contributor"),
        ):
            server.post_transaction(bundle_of(key))
        with (
            FhirServer(service.url, NoCredential()) as server,
            pytest.raises(TransientError, match="managed identity"),
        ):
            server.search("Patient")


@pytest.mark.parametrize("address", ["fhir.example", "ftp://fhir.example", ""])
def test_an_address_that_is_no_http_address_is_refused(address):
    with pytest.raises(PermanentError, match="no http"):
        FhirServer(address)


def test_tokens_never_travel_unencrypted():
    with pytest.raises(PermanentError, match="unencrypted"):
        FhirServer("http://fhir.example", Credential("s3cret"))
