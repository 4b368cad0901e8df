"""Settings: what they are by default, and what a wrong one says."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.advance import RetryPolicy
from shared.domain.plan import Layout, ResultSettings
from shared.settings import QUEUE_MAX_TRIES, AppSettings, StorageSettings, WorkerSettings

ROOT = Path(__file__).parents[3]
NEEDED = {
    "DATA_STORAGE": "UseDevelopmentStorage=true",
    "LAKE_STORAGE": "UseDevelopmentStorage=true",
    "BATCH_ENDPOINT": "https://batch",
    "BATCH_POOL": "pool",
    "FHIR_URL": "https://fhir/",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in (*AppSettings.model_fields.values(), *WorkerSettings.model_fields.values()):
        assert field.alias is not None
        monkeypatch.delenv(field.alias, raising=False)


def settings(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> AppSettings:
    for name, value in {**NEEDED, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return AppSettings()  # type: ignore[call-arg]  # fields come from the environment


def test_the_defaults_are_these(monkeypatch: pytest.MonkeyPatch) -> None:
    values = settings(monkeypatch).model_dump(mode="json")
    assert {name: value for name, value in values.items() if value not in (None, "")} == {
        "data_connection": "UseDevelopmentStorage=true",
        "lake_connection": "UseDevelopmentStorage=true",
        "batch_endpoint": "https://batch",
        "batch_pool": "pool",
        "fhir_url": "https://fhir/",
        "batch_worker_command": "python -m batch_worker",
        "batch_share_index": False,
        "batch_task_slots": 1,
        "batch_task_seconds": 21_600,
        "laboratory_name": "Clinical genomics laboratory",
        "laboratory_system": "urn:example:laboratory",
        "landing_tier": "Cold",
        "reference_cache": "/tmp/reference-bundles",  # noqa: S108 - the default itself
        "reconcile_schedule": "0 */5 * * * *",
        "function_seconds": 300,
        "stalled_seconds": 600,
        "chunk_pairs": 1_000_000,
        "shard_bp": 25_000_000,
        "large_input_bytes": 256 * 1024**2,
        "large_reference_bp": 250_000_000,
        "large_read_group_bytes": 8 * 1024**3,
        "batch_pairs": 20_000,
        "gatk_shard_bp": 25_000_000,
        "max_attempts": 4,
        "max_delivery_attempts": 12,
        "retry_seconds": 60,
    }


def test_the_defaults_of_settings_are_those_of_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch)
    assert found.layout == Layout()
    assert found.result_settings == ResultSettings()
    assert found.retry_policy == RetryPolicy()


def test_every_setting_of_the_app_can_be_set_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, CHUNK_PAIRS="40000", SHARD_BP="7", MAX_ATTEMPTS="2", RETRY_SECONDS="3")
    assert found.layout == Layout(chunk_pairs=40_000, shard_bp=7)
    assert found.retry_policy == RetryPolicy(max_attempts=2, first_delay_seconds=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"DATA_STORAGE": None},
            r"no data storage: set DATA_STORAGE \(a connection string\) or DATA_STORAGE__blobServ",
        ),
        (
            {"DATA_STORAGE": None, "DATA_STORAGE__blobServiceUri": "https://data"},
            "no queue endpoint: set DATA_STORAGE__queueServiceUri",
        ),
        ({"LAKE_STORAGE": None}, "no lake storage: set LAKE_STORAGE or LAKE_STORAGE__blobServiceUri"),
        ({"BATCH_POOL": None}, "BATCH_POOL\n  Field required"),
        ({"FHIR_URL": "not a url"}, "FHIR_URL\n  Input should be a valid URL"),
        ({"LANDING_TIER": "Frozen"}, "LANDING_TIER\n  String should match pattern"),
        ({"BATCH_TASK_SLOTS": "0"}, "BATCH_TASK_SLOTS\n  Input should be greater than or equal to 1"),
        (
            {"CHUNK_PAIRS": "50000"},
            "CHUNK_PAIRS 50,000 is no multiple of BATCH_PAIRS 20,000: a chunk is a whole number of alignment batches",
        ),
        ({"CHUNK_PAIRS": "10000"}, "CHUNK_PAIRS 10,000 is no multiple"),  # smaller than a batch
    ],
)
def test_a_missing_or_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(monkeypatch, **changes)


def test_endpoints_with_an_identity_do_without_connection_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        DATA_STORAGE=None,
        LAKE_STORAGE=None,
        DATA_STORAGE__blobServiceUri="https://data.blob",
        DATA_STORAGE__queueServiceUri="https://data.queue",
        LAKE_STORAGE__blobServiceUri="https://lake.blob",
        AZURE_CLIENT_ID="app",
        BATCH_WORKER_CLIENT_ID="worker",
    )
    assert found.worker_environment == {
        "DATA_STORAGE__blobServiceUri": "https://data.blob",
        "AZURE_CLIENT_ID": "worker",
    }


def test_a_task_gets_what_its_own_settings_need_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = settings(monkeypatch, BATCH_KEY="secret", COMPLETED_TOPIC_KEY="secret").worker_environment
    assert environment == {"DATA_STORAGE": "UseDevelopmentStorage=true"}
    with_gatk = settings(monkeypatch, GATK_HOME="/jars").worker_environment
    assert with_gatk == {**environment, "GATK_HOME": "/jars"}
    monkeypatch.delenv("GATK_HOME")
    for name in NEEDED:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings().data_connection == "UseDevelopmentStorage=true"


def test_sharing_the_index_is_told_to_the_tasks_and_their_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, BATCH_SHARE_INDEX="true")
    assert found.worker_run_options == "--ipc=host"
    assert found.worker_environment["SHARE_INDEX"] == "true"
    monkeypatch.setenv("SHARE_INDEX", found.worker_environment["SHARE_INDEX"])
    assert WorkerSettings().share_index
    assert settings(monkeypatch, BATCH_SHARE_INDEX="false").worker_run_options == ""


def test_the_worker_refuses_to_start_without_storage_and_needs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="no data storage: set DATA_STORAGE"):
        WorkerSettings()
    monkeypatch.setenv("DATA_STORAGE__blobServiceUri", "https://data.blob")
    assert StorageSettings().data_blob_uri == "https://data.blob"


def test_settings_cannot_be_changed_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = settings(monkeypatch)
    with pytest.raises(ValidationError, match="frozen"):
        found.chunk_pairs = 1


def host_json() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    return value


def test_the_last_try_of_the_code_is_the_last_try_of_the_host() -> None:
    assert host_json()["extensions"]["queues"]["maxDequeueCount"] == QUEUE_MAX_TRIES


def test_a_functions_budget_leaves_time_for_a_chunk_before_the_host_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hours, minutes, seconds = map(int, host_json()["functionTimeout"].split(":"))
    assert settings(monkeypatch).function_seconds + 120 <= 3_600 * hours + 60 * minutes + seconds
