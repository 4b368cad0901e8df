"""The function app: cheap to import, complete, and thin: each trigger hands over to one function of `shared`."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from function_app import bootstrap
from function_app.app import app
from shared import naming
from shared.domain.work import Stage
from shared.errors import PermanentError, TransientError
from shared.formats.events import BlobCreated, blob_created_event, hint_event
from shared.naming import BlobRef, Container, MarkerRef, Queue
from shared.settings import QUEUE_MAX_TRIES
from tests.drops import SAMPLE, app_settings, drop_fastq, drop_order, install_bundle, open_analysis
from tests.factories import make_order, make_plan
from tests.fakes import World

ROOT = Path(__file__).parents[3]
HEAVY = (
    "azure.batch",
    "azure.eventgrid",
    "azure.identity",
    "azure.storage",
    "bwa_mem3",
    "cyvcf2",
    "deltalake",
    "ferro_hgvs",
    "fhir",
    "isal",
    "jinja2",
    "numpy",
    "pyarrow",
    "pysam",
)
"""What only some functions need; a cold start of the others must not pay for it."""

PLAN = make_plan()
QUEUE_FUNCTIONS = {
    "split": Queue.SPLIT,
    "fan-out": Queue.FAN_OUT,
    "gather": Queue.GATHER,
    "annotate": Queue.ANNOTATE,
    "deliver": Queue.DELIVER,
    "archive": Queue.ARCHIVE,
    "fail": Queue.FAIL,
}


def in_a_fresh_interpreter(code: str) -> Any:
    """Run code that prints JSON, as the Functions worker would import the app: from the root, without settings."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    """What a fresh interpreter says of the app right after its import, and after it was indexed."""
    code = """
import json, sys
import function_app
loaded = sorted(sys.modules)
functions = function_app.app.get_functions()
names = {f.get_function_name(): [b.get_dict_repr() for b in f.get_bindings()] for f in functions}
print(json.dumps({"loaded": loaded, "functions": names}, default=str))
"""
    found: dict[str, Any] = in_a_fresh_interpreter(code)
    return found


def test_the_app_is_indexed_with_every_function_of_the_chain(fresh: dict[str, Any]) -> None:
    assert {
        *QUEUE_FUNCTIONS,
        "ingest",
        "reconcile",
        "list-analyses",
        "get-analysis",
        "list-drops",
        "post-order",
        "health",
    } <= set(fresh["functions"])
    assert len(fresh["functions"]) >= 13


def test_every_queue_has_one_function_and_its_trigger_reads_the_data_account(fresh: dict[str, Any]) -> None:
    triggers = {
        name: binding
        for name, bindings in fresh["functions"].items()
        for binding in bindings
        if binding["type"] == "queueTrigger"
    }
    assert {name: binding["queueName"] for name, binding in triggers.items()} == {
        "ingest": "ingest",
        **{name: str(queue) for name, queue in QUEUE_FUNCTIONS.items()},
    }
    assert {binding["connection"] for binding in triggers.values()} == {"DATA_STORAGE"}
    assert {binding["queueName"] for binding in triggers.values()} == set(Queue)


@pytest.mark.parametrize("name", HEAVY)
def test_importing_the_app_loads_no_heavy_library(fresh: dict[str, Any], name: str) -> None:
    loaded = [module for module in fresh["loaded"] if module == name or module.startswith(name + ".")]
    assert loaded == []


def test_the_app_needs_no_setting_to_be_imported(fresh: dict[str, Any]) -> None:
    assert "function_app.bootstrap" in fresh["loaded"]  # imported without any environment


# --- triggers ----------------------------------------------------------------------------------------------


class Calls:
    """Stands in for the reconciler and remembers how it was called."""

    def __init__(self, error: Exception | None = None) -> None:
        self.markers: list[tuple[MarkerRef, bool]] = []
        self.landed: list[tuple[str, str | None]] = []
        self.times = 0
        self._error = error

    def on_marker(self, ref: MarkerRef, *, is_last_try: bool) -> list[object]:
        self.markers.append((ref, is_last_try))
        if self._error:
            raise self._error
        return []

    def on_landing(self, folder: str, about: str | None = None) -> None:
        self.landed.append((folder, about))
        if self._error:
            raise self._error

    def reconcile(self) -> int:
        self.times += 1
        return 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(bootstrap, "reconciler", lambda: calls)
    return calls


def user_function(name: str) -> Any:
    """The Python function behind a trigger."""
    # `get_functions` may be called once in the life of an app, and others of this process may have called it.
    (found,) = [one._function for one in app._function_builders if one._function.get_function_name() == name]
    return found.get_user_function()


class Message(func.QueueMessage):
    """A queue message as the worker makes it: base64 is already undone by the host."""

    def __init__(self, body: str, dequeue_count: int = 1) -> None:
        super().__init__(id="1", body=body.encode())
        self._count = dequeue_count

    @property
    def dequeue_count(self) -> int:
        return self._count


def created(ref: BlobRef) -> str:
    return blob_created_event(BlobCreated(str(ref.container), ref.name, "0x1", 10, "PutBlob", "1", None))


@pytest.mark.parametrize("name", QUEUE_FUNCTIONS)
@pytest.mark.parametrize("make", [created, lambda ref: hint_event(str(ref.container), ref.name)], ids=["event", "hint"])
def test_a_markers_event_is_handed_over(calls: Calls, name: str, make: Any) -> None:
    user_function(name)(Message(make(naming.plan_blob(PLAN.analysis))))
    assert calls.markers == [(MarkerRef(PLAN.analysis, Stage.PLANNED), False)]


@pytest.mark.parametrize(("count", "is_last"), [(1, False), (QUEUE_MAX_TRIES - 1, False), (QUEUE_MAX_TRIES, True)])
def test_the_last_delivery_of_a_message_is_told(calls: Calls, count: int, is_last: bool) -> None:
    user_function("split")(Message(created(naming.plan_blob(PLAN.analysis)), count))
    assert [last for _, last in calls.markers] == [is_last]


def test_a_message_without_a_count_is_a_first_delivery(calls: Calls) -> None:
    user_function("split")(func.QueueMessage(body=created(naming.plan_blob(PLAN.analysis)).encode()))
    assert [last for _, last in calls.markers] == [False]


@pytest.mark.parametrize(
    "ref",
    [
        BlobRef(Container.WORK, f"data/{PLAN.analysis}/chunks/L1/00000.fastq.gz"),
        BlobRef(Container.RESULTS, f"{SAMPLE}/{PLAN.analysis}/{SAMPLE}.qc.json"),
    ],
)
def test_an_event_of_a_blob_that_is_no_marker_is_ignored(calls: Calls, ref: BlobRef) -> None:
    user_function("fan-out")(Message(created(ref)))
    assert calls.markers == []


def test_what_goes_wrong_is_raised_so_that_the_queue_delivers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(TransientError("away"))
    monkeypatch.setattr(bootstrap, "reconciler", lambda: calls)
    with pytest.raises(TransientError, match="away"):
        user_function("split")(Message(created(naming.plan_blob(PLAN.analysis))))
    with pytest.raises(TransientError, match="away"):
        user_function("ingest")(Message(created(naming.order_blob(SAMPLE))))


@pytest.mark.parametrize("name", ["ingest", "split"])
def test_a_message_that_is_no_event_is_an_error_and_ends_among_the_poison(calls: Calls, name: str) -> None:
    with pytest.raises(PermanentError, match="is not a BlobCreated event"):
        user_function(name)(Message(base64.b64encode(b"{}").decode()))
    assert calls.markers == []


def test_a_dropped_blob_is_handed_over_by_its_folder(calls: Calls) -> None:
    ingest = user_function("ingest")
    ingest(Message(created(naming.order_blob(SAMPLE))))
    ingest(Message(created(naming.landing_blob("loose.fastq.gz"))))
    ingest(Message(created(naming.landing_blob("a/b/c.fastq.gz"))))
    assert calls.landed == [(SAMPLE, f"{SAMPLE}/order.json"), ("a", "a/b/c.fastq.gz")]


def test_the_timer_looks_at_everything(calls: Calls) -> None:
    user_function("reconcile")(SimpleNamespace(past_due=False))
    assert calls.times == 1


# --- HTTP --------------------------------------------------------------------------------------------------


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(bootstrap, "services", lambda: world.services)
    monkeypatch.setattr("function_app.api.landing.app_settings", app_settings)
    return world


def get(name: str, params: dict[str, str] | None = None, **route: str) -> tuple[int, Any]:
    request = func.HttpRequest("GET", "https://app/api", params=params or {}, route_params=route, body=b"")
    answer = user_function(name)(request)
    return answer.status_code, json.loads(answer.get_body())


def test_analyses_are_listed_and_narrowed_by_sample_and_stage(world: World) -> None:
    for plan in (PLAN, make_plan(sample="NA00002")):
        open_analysis(world, plan)
    assert len(get("list-analyses")[1]["analyses"]) == 2
    (one,) = get("list-analyses", {"sample": SAMPLE})[1]["analyses"]
    assert one["analysis"] == PLAN.analysis
    assert get("list-analyses", {"stage": "completed"})[1]["analyses"] == []


def test_one_analysis_is_told_and_another_is_not_found(world: World) -> None:
    open_analysis(world, PLAN)
    status, body = get("get-analysis", analysis=PLAN.analysis)
    assert (status, body["stage"]) == (200, "splitting")
    status, body = get("get-analysis", analysis="nope")
    assert (status, body["status"], body["title"]) == (404, 404, "No such analysis")


def post(name: str, body: bytes, analysis: str = PLAN.analysis) -> tuple[int, Any]:
    request = func.HttpRequest("POST", "https://app/api", params={}, route_params={"analysis": analysis}, body=body)
    answer = user_function(name)(request)
    return answer.status_code, json.loads(answer.get_body())


def test_a_decision_on_a_held_analysis_is_taken_and_the_other_refused(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    body = b'{"by": "lab-director", "reason": "Deep enough for this gene."}'
    open_analysis(world, PLAN)
    assert post("release-analysis", body)[0] == 409
    for stage in (Stage.FLAGGED, Stage.GATHERED, Stage.ANNOTATED, Stage.HELD):
        world.blobs.create(naming.result_marker(SAMPLE, PLAN.analysis, stage), b"{}")
    assert post("release-analysis", b"{}")[0] == 400
    assert post("release-analysis", body, "0" * 24)[0] == 404
    status, decided = post("release-analysis", body)
    assert (status, decided["decision"], decided["by"]) == (200, "released", "lab-director")
    assert post("release-analysis", body) == (200, decided)
    status, refusal = post("reject-analysis", body)
    assert (status, refusal["title"]) == (409, "Not possible now")
    assert "was released by lab-director" in refusal["detail"]
    assert "Deep enough" not in caplog.text


def test_a_failed_analysis_is_tried_again_once_asked(world: World) -> None:
    body = b'{"by": "ops", "reason": "The EHR is back."}'
    open_analysis(world, PLAN)
    assert post("retry-analysis", body)[0] == 409
    world.blobs.create(naming.failed_marker(SAMPLE, PLAN.analysis, 0), b"{}")
    assert post("retry-analysis", b"")[0] == 400
    assert post("retry-analysis", body, "0" * 24)[0] == 404
    status, retried = post("retry-analysis", body)
    assert (status, retried["round"]) == (200, 1)
    assert get("get-analysis", analysis=PLAN.analysis)[1]["retries"] == 1


def test_a_decision_needs_a_function_key(fresh: dict[str, Any]) -> None:
    for name in ("release-analysis", "reject-analysis", "retry-analysis"):
        (trigger,) = [one for one in fresh["functions"][name] if one["type"] == "httpTrigger"]
        assert trigger["methods"] == ["POST"]
        assert str(trigger.get("authLevel", "FUNCTION")).upper().endswith("FUNCTION")


def test_drops_are_told(world: World) -> None:
    install_bundle(world.blobs)
    drop_fastq(world.blobs, "L1", 1)
    drop_order(world.blobs, "L1")
    (drop,) = get("list-drops")[1]["drops"]
    assert (drop["state"], drop["missing"]) == ("waiting", [f"{SAMPLE}/{SAMPLE}_L1_R2.fastq.gz"])


def test_health_is_503_with_the_reason_when_a_service_is_away(world: World) -> None:
    assert get("health") == (200, {"healthy": True, "faults": {}})
    world.fhir.is_up = False
    status, body = get("health")
    assert status == 503
    assert "fhir" in body["faults"]


def post_order(body: bytes, **params: str) -> tuple[int, Any]:
    request = func.HttpRequest("POST", "/api/orders", params=params, body=body)
    answer = user_function("post-order")(request)
    return answer.status_code, json.loads(answer.get_body())


def test_an_order_over_http_is_created_once_and_conflicts_with_another(world: World) -> None:
    install_bundle(world.blobs)
    order = make_order()
    status, body = post_order(order.to_json())
    assert (status, body["state"], body["order"]) == (201, "created", f"landing/{SAMPLE}/order.json")
    assert "P1" not in str(body)  # the patient stays in the order
    assert post_order(json.dumps(json.loads(order.to_json())).encode())[0] == 200
    other = make_order(test={"code": "x", "display": "X"}).to_json()
    status, body = post_order(other)
    assert (status, body["status"]) == (409, 409)
    assert "?replace=true" in body["detail"]
    assert post_order(other, replace="true") == (200, post_order(other)[1] | {"state": "replaced"})
    assert world.blobs.read(naming.order_blob(SAMPLE)) == other


def test_an_order_over_http_that_is_not_valid_is_422_with_the_field(world: World) -> None:
    install_bundle(world.blobs)
    status, body = post_order(b'{"sample": "NA1"}')
    assert (status, body["title"]) == (422, "The order is not valid")
    assert "landing/NA1/order.json is not a valid order: patient: Field required" in body["detail"]
    assert world.blobs.names(Container.LANDING) == []


def test_a_cohort_over_http_is_filed_told_and_listed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("function_app.api.cohorts.app_settings", app_settings)

    def post_cohort(body: Any, **params: str) -> tuple[int, Any]:
        request = func.HttpRequest("POST", "/api/cohorts", params=params, body=json.dumps(body).encode())
        answer = user_function("post-cohort")(request)
        return answer.status_code, json.loads(answer.get_body())

    duo = {"cohort": "duo", "samples": ["A", "B"]}
    assert post_cohort(duo) == (201, {"cohort": "duo", "status": "/api/cohorts/duo"})
    assert post_cohort(duo)[0] == 200
    assert post_cohort({**duo, "samples": ["A", "C"]})[0] == 409
    assert post_cohort({**duo, "samples": ["A", "C"]}, replace="true")[0] == 201
    status, body = post_cohort({**duo, "samples": ["A"]})
    assert (status, body["title"]) == (422, "The cohort is not valid")
    (one,) = get("list-cohorts", {"state": "waiting"})[1]["cohorts"]
    assert (one["cohort"], one["missing"]) == ("duo", ["A", "C"])
    assert get("list-cohorts", {"state": "joined"})[1]["cohorts"] == []
    assert get("get-cohort", cohort="duo")[1]["cohorts"] == [one]
    assert get("get-cohort", cohort="trio")[0] == 404
