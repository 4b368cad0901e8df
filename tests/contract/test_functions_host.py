"""The local functions host against Azurite, with a small app: the real host's promises on queues, timers and HTTP."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueServiceClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from infra.local.functions_host.host_json import QueueSettings
from infra.local.functions_host.indexing import Binding, IndexedFunction
from infra.local.functions_host.invocation import Invoker
from infra.local.functions_host.queue_trigger import QueueTrigger
from tests.contract.functions_host_app import FUNCTION_APP, HOST_JSON
from tests.contract.node_fixtures import ROOT, running

pytestmark = pytest.mark.contract

LIMIT_SECONDS = 20


class Queues:
    """Queues of one app: `work`, `done`, `ticks` and `work-poison` behind a prefix."""

    def __init__(self, service):
        self.prefix = f"host-{uuid.uuid4().hex}"
        self.service = service
        for name in ("work", "done", "ticks"):
            service.create_queue(f"{self.prefix}-{name}")

    def send(self, *bodies, raw=False):
        policy = None if raw else TextBase64EncodePolicy()
        queue = self.service.get_queue_client(f"{self.prefix}-work", message_encode_policy=policy)
        for body in bodies:
            queue.send_message(body)

    def take(self, name, count=1, raw=False):
        """The next `count` message texts of a queue, in order of text."""
        policy = None if raw else TextBase64DecodePolicy()
        queue = self.service.get_queue_client(f"{self.prefix}-{name}", message_decode_policy=policy)
        found, end = [], time.monotonic() + LIMIT_SECONDS
        while len(found) < count:
            assert time.monotonic() < end, f"{found} of {count} messages came to {name}"
            try:
                for message in queue.receive_messages(max_messages=count - len(found)):
                    found.append(message.content)
                    queue.delete_message(message)
            except Exception as error:
                if getattr(error, "error_code", "") != "QueueNotFound":
                    raise
        return sorted(found)

    def left(self, name):
        return self.service.get_queue_client(f"{self.prefix}-{name}").get_queue_properties().approximate_message_count


@pytest.fixture(scope="module")
def service(azurite):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client


@pytest.fixture(scope="module")
def app_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    (folder / "host.json").write_text(HOST_JSON)
    (folder / "function_app.py").write_text(FUNCTION_APP)
    return folder


def host(azurite, queues, app_root, *options):
    # a local.settings.json, as a developer would have; the environment stays as it is
    values = {"DATA": azurite.connection_string, "PREFIX": queues.prefix}
    (app_root / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    return running("infra.local.functions_host", "--app-root", str(app_root), "--port", "0", *options)


@pytest.fixture(scope="module")
def queues(service):
    return Queues(service)


@pytest.fixture(scope="module")
def url(azurite, queues, app_root):
    with host(azurite, queues, app_root) as (line, _):
        assert line.rstrip().endswith("(4 functions)")
        yield line.split()[4]


def test_a_message_runs_its_function_once_with_its_metadata(url, queues):
    queues.send("hello")
    done = json.loads(queues.take("done")[0])
    assert (done["body"], done["count"], done["name"]) == ("hello", 1, "work")
    assert queues.left("done") == 0
    wait_until(lambda: queues.left("work") == 0)


def test_members_of_a_json_message_override_its_metadata(url, queues):
    queues.send('{"id": "event-1"}')
    assert json.loads(queues.take("done")[0])["id"] == "event-1"


def test_a_failing_message_is_tried_again_and_then_moved_to_the_poison_queue(url, queues):
    begin = time.monotonic()
    queues.send("bad one")
    assert queues.take("work-poison") == ["bad one"]
    assert time.monotonic() - begin >= 0.9, "visibilityTimeout is 1 s"
    wait_until(lambda: queues.left("work") == 0)


def test_a_message_that_is_not_base64_is_poisoned_and_hides_no_other(url, queues):
    queues.send("not base64!", raw=True)
    queues.send("fine")
    assert json.loads(queues.take("done")[0])["body"] == "fine"
    assert queues.take("work-poison", raw=True) == ["not base64!"]


def test_messages_run_side_by_side(url, queues):
    queues.send("together 1", "together 2")
    assert [json.loads(text)["body"] for text in queues.take("done", 2)] == ["together 1", "together 2"]


def test_a_burst_runs_every_message_exactly_once(url, queues):
    bodies = sorted(f"n{number:03d}" for number in range(60))
    queues.send(*bodies)
    assert sorted(json.loads(text)["body"] for text in queues.take("done", 60)) == bodies
    assert queues.left("done") == 0


def test_a_timer_runs_at_start_and_by_hand(url, queues):
    assert queues.take("ticks") == ["tick"]
    assert httpx.post(f"{url}/admin/functions/tick", json={}).status_code == 202
    assert queues.take("ticks") == ["tick"]


def test_a_queue_function_runs_by_hand_with_an_input(url, queues):
    assert httpx.post(f"{url}/admin/functions/work", json={"input": "by hand"}).status_code == 202
    assert json.loads(queues.take("done")[0])["body"] == "by hand"
    assert httpx.post(f"{url}/admin/functions/nothing", json={}).status_code == 404
    assert httpx.post(f"{url}/admin/functions/orders", json={}).status_code == 400


def test_an_http_function_gets_the_request_and_gives_the_response(url):
    answer = httpx.post(f"{url}/api/Orders/a%20b?q=1", content=b"body", headers={"X-Test": "t"})
    assert (answer.status_code, answer.headers["X-A"], answer.headers["Content-Type"]) == (201, "b", "application/json")
    assert answer.json() == {"method": "POST", "id": "a b", "q": "1", "body": "body", "header": "t"}
    rest = httpx.get(f"{url}/api/files/x/y%2Fz")
    assert (rest.status_code, rest.text) == (200, "x/y/z")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/orders/1", 405),
        ("GET", "/api/orders/boom", 500),
        ("GET", "/", 404),
    ],
)
def test_http_errors(url, method, path, status):
    answer = httpx.request(method, url + path)
    assert answer.status_code == status
    assert "secret" not in answer.text


def test_health_lists_the_functions(url):
    found = {one["name"]: one for one in httpx.get(f"{url}/local/health").json()["functions"]}
    assert sorted(found) == ["files", "orders", "tick", "work"]
    assert found["work"]["trigger"] == "queueTrigger"
    assert found["tick"]["succeeded"] >= 1


def test_a_message_that_was_delivered_too_often_is_poisoned_without_a_call(azurite, service, app_root, tmp_path):
    queues = Queues(service)
    queues.send("sleep 0")
    queue = service.get_queue_client(f"{queues.prefix}-work")
    for _ in range(2):
        message = next(iter(queue.receive_messages()))
        queue.update_message(message, visibility_timeout=0)
    with host(azurite, queues, app_root) as (line, _):
        assert queues.take("work-poison") == ["sleep 0"]
        health = httpx.get(f"{line.split()[4]}/local/health").json()
        assert next(one for one in health["functions"] if one["name"] == "work")["succeeded"] == 0


def running_count(line):
    return httpx.get(f"{line.split()[4]}/local/health").json()["running"]


def test_a_stopped_host_lets_a_running_function_end(azurite, service, app_root):
    queues = Queues(service)
    with host(azurite, queues, app_root) as (line, process):
        queues.send("sleep 1.5")
        wait_until(lambda: running_count(line) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_SECONDS) == 0
    assert json.loads(queues.take("done")[0])["body"] == "sleep 1.5"
    assert queues.left("work") == 0


def test_a_stopped_host_releases_what_does_not_end_in_time(azurite, service, app_root):
    queues = Queues(service)
    with host(azurite, queues, app_root, "--grace-seconds", "0.2") as (line, process):
        queues.send("sleep 60")
        wait_until(lambda: running_count(line) == 1)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_SECONDS) == 0
        assert time.monotonic() - begin < 10
    assert queues.take("work") == ["sleep 60"], "visible again at once, not after ten minutes"


def test_an_app_the_host_would_refuse_does_not_start(tmp_path: Path):
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "function_app.py").write_text(FUNCTION_APP.replace('"msg"', '"my_msg"').replace("(msg:", "(my_msg:"))
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.functions_host", "--app-root", str(tmp_path), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PREFIX": "x", "DATA": "UseDevelopmentStorage=true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 2
    assert "'my_msg' may have letters and digits only" in done.stderr


def test_a_message_stays_hidden_while_its_function_runs_longer_than_the_hiding(service):
    queues = Queues(service)
    go_on, seen = threading.Event(), []

    def hold(msg):
        seen.append(msg)
        go_on.wait(LIMIT_SECONDS)

    function = IndexedFunction("hold", hold, Binding("msg", "queueTrigger", {}), (), False, False, str)
    invoker = Invoker("/app", None, lambda *_: None, threads=2)
    settings = QueueSettings(max_polling_seconds=0.2)
    trigger = QueueTrigger(function, service, f"{queues.prefix}-work", settings, invoker, invisible_seconds=2)
    trigger.start()
    try:
        queues.send("long")
        wait_until(lambda: seen)
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            trigger.renew()
            time.sleep(0.1)
        assert seen == ["long"]
        go_on.set()
        wait_until(lambda: queues.left("work") == 0)
        wait_until(lambda: invoker.counts("hold") == {"succeeded": 1, "failed": 0})
    finally:
        go_on.set()
        trigger.stop()
        invoker.close()


def test_a_wake_up_ends_the_polling_delay(service):
    queues = Queues(service)
    seen = []

    def look(msg):
        seen.append(msg)

    function = IndexedFunction("look", look, Binding("msg", "queueTrigger", {}), (), False, False, str)
    invoker = Invoker("/app", None, lambda *_: None, threads=1)
    trigger = QueueTrigger(function, service, f"{queues.prefix}-work", QueueSettings(), invoker)
    asleep = threading.Event()

    class Hour:
        def found_work(self):
            pass

        def found_nothing(self):
            asleep.set()
            return 3600.0

    trigger._delay = Hour()
    trigger.start()
    try:
        assert asleep.wait(LIMIT_SECONDS)
        queues.send("now")
        trigger.wake()
        wait_until(lambda: seen == ["now"])
    finally:
        trigger.stop()
        invoker.close()


def test_the_host_is_woken_over_http(url, queues):
    assert httpx.post(f"{url}/local/wake/{queues.prefix}-work").status_code == 204
    assert httpx.post(f"{url}/local/wake/unknown").status_code == 404


def wait_until(condition):
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02 + random.random() / 100)
