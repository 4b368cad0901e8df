"""The bicep says what the code says: containers, queues, events, app settings and roles."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from function_app import app
from infra.local.event_filters import load_subscriptions
from shared.domain.ids import AnalysisId
from shared.domain.work import ChunkKey, Stage
from shared.naming import (
    DATA_CONTAINERS,
    BlobRef,
    Container,
    Queue,
    aligned_part,
    called_data,
    called_marker,
    chunk_data,
    intake_blob,
    open_entry,
    plan_blob,
    result_marker,
    retried_marker,
)
from shared.settings import DATA_CONNECTION, AppSettings
from tests.unit.infra.bicep_reader import BicepFile, Declaration, read_bicep

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"
BICEP_FILES = sorted([*INFRA.glob("*.bicep"), *INFRA.glob("*.bicepparam"), *INFRA.glob("modules/*.bicep")])
SUBSCRIPTIONS: list[dict[str, Any]] = json.loads((INFRA / "subscriptions.json").read_text())

# The subscriber queue of the "completed" topic; the chain itself never reads it, so `Queue` does not name it.
COMPLETED_QUEUE = "completed"

# Built-in roles by id, as Microsoft's list of built-in roles names them.
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "48e5e92e-a480-4e71-aa9c-2778f4c13781": "Azure Batch Job Submitter",
    "5a1fc7df-4bf1-4951-a576-89034ee01acd": "FHIR Data Contributor",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid Data Sender",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "a35466a1-cfd6-450a-b35e-683fcdf30363": "Azure Batch Service Orchestration Role",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}
ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
FILTER_PROPERTIES = {
    "advancedFilters",
    "enableAdvancedFilteringOnArrays",
    "includedEventTypes",
    "isSubjectCaseSensitive",
    "subjectBeginsWith",
    "subjectEndsWith",
}
STORAGE_ACCOUNT = "Microsoft.Storage/storageAccounts"


def module(name: str) -> BicepFile:
    return read_bicep(INFRA / "modules" / f"{name}.bicep")


@pytest.fixture(scope="module")
def main() -> BicepFile:
    return read_bicep(INFRA / "main.bicep")


@pytest.fixture(scope="module")
def app_settings() -> dict[str, Any]:
    found: dict[str, Any] = module("functions").resource("settings").body["properties"]
    return found


# --- the files hold together ---


@pytest.mark.parametrize("path", BICEP_FILES, ids=lambda path: path.name)
def test_every_bicep_file_parses_and_every_name_in_it_is_declared(path: Path) -> None:
    found = read_bicep(path)
    assert found.syntax_errors == []
    assert found.undeclared() == set()


@pytest.mark.parametrize("path", [p for p in BICEP_FILES if p.suffix == ".bicep"], ids=lambda path: path.name)
def test_no_parameter_or_variable_is_declared_in_vain(path: Path) -> None:
    assert read_bicep(path).unused() == set()


def test_modules_are_given_the_parameters_they_take(main: BicepFile) -> None:
    for call in main.modules:
        taken = read_bicep(INFRA / call.target).params
        given = set(call.body["params"])
        assert given <= set(taken), call.name
        assert {name for name, required in taken.items() if required} <= given, call.name


def test_every_module_output_that_is_read_exists_and_every_one_that_exists_is_read(main: BicepFile) -> None:
    made = {(call.name, output) for call in main.modules for output in read_bicep(INFRA / call.target).outputs}
    used = main.module_outputs_used()
    assert used <= made
    files_read = {(main.module(name).target, output) for name, output in used}
    assert {(main.module(name).target, output) for name, output in made} == files_read


def test_every_module_file_is_used(main: BicepFile) -> None:
    assert {call.target for call in main.modules} == {f"modules/{p.name}" for p in INFRA.glob("modules/*.bicep")}


def test_the_parameter_file_sets_every_parameter_of_main(main: BicepFile) -> None:
    assert read_bicep(INFRA / "main.bicepparam").variables == set(main.params)


# --- names are the code's ---


def test_the_data_account_has_the_codes_containers_and_those_for_dead_letters(main: BicepFile) -> None:
    made = main.evaluate(main.module("dataStorage").body["params"]["containers"].text)
    dead_letters = {entry["deadLetterContainer"] for entry in SUBSCRIPTIONS}
    assert sorted(made) == sorted({*map(str, DATA_CONTAINERS), *dead_letters})
    assert dead_letters.isdisjoint(map(str, DATA_CONTAINERS))


def test_the_lake_account_has_the_codes_lake_container(main: BicepFile) -> None:
    params = main.module("lakeStorage").body["params"]
    assert main.value("lakeContainer") == Container.LAKE
    assert [expression.text for expression in params["containers"]] == ["lakeContainer"]
    assert params["hierarchicalNamespace"] is True


def test_the_data_account_has_the_codes_queues_with_their_poison_queues(main: BicepFile) -> None:
    made = main.evaluate(main.module("dataStorage").body["params"]["queues"].text)
    assert sorted(made) == sorted({*Queue, *(f"{queue}-poison" for queue in Queue), COMPLETED_QUEUE})


def test_the_containers_that_roles_and_lifecycle_name_exist(main: BicepFile) -> None:
    assert set(main.module("roles").body["params"]["nodeContainers"]) < set(map(str, DATA_CONTAINERS))
    lifecycle = main.module("dataLifecycle").body["params"]
    assert main.evaluate(lifecycle["landingContainer"].text) == Container.LANDING
    assert main.evaluate(lifecycle["workContainer"].text) == Container.WORK


def test_batch_nodes_see_neither_the_uploads_nor_the_lake(main: BicepFile) -> None:
    assert Container.LANDING not in main.module("roles").body["params"]["nodeContainers"]
    scopes = [d.body["scope"].text for d in assignments() if "nodePrincipalId" in d.body_text]
    assert sorted(scopes) == ["nodeBlobContainers[index]", "registry"]


def test_the_work_lifecycle_reaches_all_data_and_neither_a_marker_nor_an_index() -> None:
    rule = module("lifecycle").value("deleteRule", workContainer="work", workDeleteAfterDays=14)
    prefixes = rule["definition"]["filters"]["prefixMatch"]

    def reached(blob: object) -> bool:
        return any(str(blob).startswith(prefix) for prefix in prefixes)

    analysis = AnalysisId("0123456789abcdef01234567")
    chunk = ChunkKey("L1", 0)
    for data in (chunk_data(analysis, chunk), aligned_part(analysis, chunk, 0), called_data(analysis, 0, "bam")):
        assert reached(data)
    for kept in (
        plan_blob(analysis),
        open_entry(analysis),
        intake_blob("abc", "abc", "0" * 24),
        called_marker(analysis, 0),
    ):
        assert not reached(kept)


# --- event subscriptions ---


def test_each_queue_of_the_chain_has_exactly_one_subscription() -> None:
    assert sorted(entry["queue"] for entry in SUBSCRIPTIONS) == sorted(Queue)


@pytest.mark.parametrize(
    ("stage", "queues"),
    [
        (Stage.FLAGGED, []),
        (Stage.GATHERED, [Queue.ANNOTATE]),
        (Stage.ANNOTATED, [Queue.DELIVER]),
        (Stage.HELD, []),
        (Stage.DECIDED, [Queue.DELIVER]),
        (Stage.DELIVERED, [Queue.ARCHIVE]),
        (Stage.REJECTED, [Queue.ARCHIVE]),
        (Stage.ARCHIVED, []),
        (Stage.FAILED, []),
    ],
)
def test_a_marker_of_the_results_reaches_the_queue_that_goes_on_from_it(stage: Stage, queues: list[Queue]) -> None:
    assert queues_of(result_marker("NA1", AnalysisId("0" * 24), stage)) == queues


def test_a_retry_reaches_the_queue_of_failures() -> None:
    assert queues_of(retried_marker(AnalysisId("0" * 24), 1)) == [Queue.FAIL]


def queues_of(ref: BlobRef) -> list[Queue]:
    event = {
        "type": "Microsoft.Storage.BlobCreated",
        "subject": f"/blobServices/default/containers/{ref.container}/blobs/{ref.name}",
    }
    found = load_subscriptions(INFRA / "subscriptions.json")
    return [Queue(one.queue) for one in found if one.filter.matches(event)]


@pytest.mark.parametrize("entry", SUBSCRIPTIONS, ids=lambda entry: entry["name"])
def test_a_subscription_is_one_that_event_grid_accepts(entry: dict[str, Any]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]{3,64}", entry["name"])
    assert entry["container"] in map(str, DATA_CONTAINERS)
    assert set(entry["filter"]) <= FILTER_PROPERTIES
    assert entry["filter"]["subjectBeginsWith"] == f"/blobServices/default/containers/{entry['container']}/blobs/"
    assert entry["eventDeliverySchema"] in {"EventGridSchema", "CloudEventSchemaV1_0"}
    assert 1 <= entry["retryPolicy"]["maxDeliveryAttempts"] <= 30
    assert 1 <= entry["retryPolicy"]["eventTimeToLiveInMinutes"] <= 1440


def test_event_grid_delivers_and_dead_letters_with_its_own_identity_and_never_expiring_messages() -> None:
    found = module("subscriptions")
    for name in ("blobSubscriptions", "completedSubscription"):
        properties = found.resource(name).body["properties"]
        delivery, dead_letter = properties["deliveryWithResourceIdentity"], properties["deadLetterWithResourceIdentity"]
        assert delivery["identity"] == dead_letter["identity"] == {"type": "SystemAssigned"}
        assert delivery["destination"]["endpointType"] == "StorageQueue"
        assert delivery["destination"]["properties"]["queueMessageTimeToLiveInSeconds"].text == "neverExpires"
    assert found.value("neverExpires") == -1
    assert found.value("subscriptions") == SUBSCRIPTIONS
    assert found.resource("blobSubscriptions").loop_over == "subscriptions"


# --- app settings ---


def alias(field: str) -> str:
    found = AppSettings.model_fields[field].alias
    assert found
    return found


def test_every_app_setting_is_one_that_the_code_or_the_host_reads(app_settings: dict[str, Any]) -> None:
    read = {alias(field) for field in AppSettings.model_fields}
    parts = ("credential", "clientId", "blobServiceUri", "queueServiceUri")
    connection = {f"{DATA_CONNECTION}__{part}" for part in parts}
    host = {name for name in app_settings if name.startswith(("AzureWebJobsStorage__", "APPLICATIONINSIGHTS_"))}
    assert set(app_settings) <= read | connection | host


def test_the_app_settings_name_every_service_of_the_cloud(app_settings: dict[str, Any]) -> None:
    required = {alias(name) for name, field in AppSettings.model_fields.items() if field.is_required()}
    cloud = {
        alias(field)
        for field in (
            "data_blob_uri",
            "data_queue_uri",
            "lake_blob_uri",
            "identity_client_id",
            "batch_worker_image",
            "worker_client_id",
            "batch_task_slots",
            "fhir_audience",
            "completed_topic_endpoint",
        )
    }
    assert required | cloud <= set(app_settings)
    assert {f"{DATA_CONNECTION}__credential", f"{DATA_CONNECTION}__clientId"} <= set(app_settings)


@cache
def bindings() -> list[dict[str, Any]]:
    """All bindings of the function app; an app can be indexed once only."""
    return [binding for function in app.get_functions() for binding in function.get_bindings_dict()["bindings"]]


def test_every_setting_that_a_binding_names_is_an_app_setting(app_settings: dict[str, Any]) -> None:
    named = set(re.findall(r"%(\w+)%", str(bindings())))
    assert named
    assert named <= set(app_settings)


def test_no_app_setting_is_a_key_or_a_connection_string_of_the_local_stack(app_settings: dict[str, Any]) -> None:
    local = ("data_connection", "lake_connection", "batch_account", "batch_key", "completed_topic_key")
    assert set(app_settings).isdisjoint({alias(field) for field in local})


def test_the_codes_settings_accept_what_the_cloud_gives_them(
    app_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in AppSettings.model_fields:
        monkeypatch.delenv(alias(field), raising=False)
    values = {alias("batch_task_slots"): "4", alias("batch_share_index"): "true"}
    for name in app_settings:
        monkeypatch.setenv(name, values.get(name, "https://example.invalid/"))
    settings = AppSettings()  # type: ignore[call-arg]
    assert settings.batch_task_slots == 4


# --- functions, once they are written ---


@pytest.mark.skipif(
    not (ROOT / "function_app" / "app.py").exists(), reason="the function app has no functions to compare with yet"
)
def test_every_queue_trigger_reads_a_queue_that_is_made_and_every_queue_is_read() -> None:
    triggers = [binding for binding in bindings() if binding["type"] == "queueTrigger"]
    assert sorted(trigger["queueName"] for trigger in triggers) == sorted(Queue)
    assert {trigger["connection"] for trigger in triggers} == {DATA_CONNECTION}


# --- nothing secret, every role named ---


def test_no_file_reads_or_holds_a_secret() -> None:
    for path in [*BICEP_FILES, ROOT / "azure.yaml", ROOT / "host.json"]:
        found = re.search(
            r"listKeys|listCredentials|listSecrets|listAccountSas|@secure|AccountKey|SharedAccess|password\s*:|sig=",
            path.read_text(),
        )
        assert found is None, f"{path.name}: {found}"


def test_every_service_refuses_its_own_keys() -> None:
    assert module("storage").resource("account").body["properties"]["allowSharedKeyAccess"] is False
    assert module("storage").resource("account").body["properties"]["allowBlobPublicAccess"] is False
    assert module("batch").resource("account").body["properties"]["allowedAuthenticationModes"] == ["AAD"]
    assert module("topics").resource("completedTopic").body["properties"]["disableLocalAuth"] is True
    assert module("registry").resource("registry").body["properties"]["adminUserEnabled"] is False
    assert module("monitoring").resource("insights").body["properties"]["DisableLocalAuth"] is True
    accounts = [r for path in BICEP_FILES for r in read_bicep(path).resources if r.target == STORAGE_ACCOUNT]
    assert (
        len([account for account in accounts if not account.existing]) == 1
    )  # the hardened one above, used for every account


class Assignment:
    """A role assignment and the text of its declaration."""

    def __init__(self, found: Declaration) -> None:
        self.name = found.name
        self.body = found.body
        self.body_text = found.text


def assignments() -> list[Assignment]:
    return [Assignment(d) for p in BICEP_FILES for d in read_bicep(p).resources if d.target == ROLE_ASSIGNMENT]


def test_every_role_id_is_a_built_in_role_and_the_comment_beside_it_is_its_name() -> None:
    text = (INFRA / "modules" / "roles.bicep").read_text()
    listed = dict(re.findall(r"^  \w+: '([0-9a-f-]{36})' // (.+)$", text, flags=re.MULTILINE))
    assert listed
    assert listed.items() <= ROLES.items()
    every_id = {i for path in BICEP_FILES for i in re.findall(r"'([0-9a-f]{8}-[0-9a-f-]{27})'", path.read_text())}
    assert every_id == set(ROLES)


def test_every_role_assignment_says_the_role_it_gives() -> None:
    names = {key: ROLES[i] for key, i in module("roles").value("roleIds").items()}
    given = set()
    for assignment in assignments():
        reference = assignment.body["properties"]["roleDefinitionId"].text
        if match := re.fullmatch(r"definitions\.(\w+)", reference):
            role = names[match[1]]
            given.add(match[1])
        else:
            role = ROLES[re.search(r"'([0-9a-f-]{36})'", reference)[1]]  # type: ignore[index]
        assert f"// {role}\n" in assignment.body_text, assignment.name
        # One assignment per principal, scope and role: its name derives from the same role as its definition.
        assert f"roleIds.{match[1]})" in assignment.body_text if match else True, assignment.name
    assert given == set(names)
