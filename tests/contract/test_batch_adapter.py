"""The Batch adapter against the local service, and against one that fails."""

import http.server
import itertools
import json
import sys
import threading
import time

import pytest
from azure.batch import models

from shared.adapters.batch import AzureBatch, ContainerImage
from shared.errors import PermanentError, TransientError
from shared.ports import TaskReport, TaskRequest, TaskState
from tests.contract.batch_fixtures import (
    ACCOUNT,
    KEY,
    POOL,
    account,
    batch_service,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract

_numbers = itertools.count(1)
_ENDED = {TaskState.SUCCEEDED, TaskState.FAILED}


@pytest.fixture
def batch(batch_service):
    with AzureBatch.connect(
        batch_service.endpoint, POOL, account=ACCOUNT, key=KEY, environment={"DATA_STORAGE": "where the data is"}
    ) as adapter:
        yield adapter


@pytest.fixture
def job_id(batch):
    name = f"adapter-{next(_numbers)}"
    yield name
    batch.finish(name, "the test is over")


def python(task_id, code, **options):
    options.setdefault("max_retries", 0)
    return TaskRequest(task_id, [sys.executable, "-c", code], **options)


def ended(batch, job_id):
    """Wait until no task waits or runs, and return the reports."""
    return wait_until(
        lambda: (
            reports if (reports := batch.reports(job_id)) and {r.state for r in reports.values()} <= _ENDED else None
        )
    )


def test_submit_makes_the_job_and_the_reports_tell_how_its_tasks_ended(batch, job_id):
    assert batch.reports(job_id) == {}
    batch.submit(
        job_id,
        [
            python("good", "print(1)"),
            python("bad", "raise SystemExit(3)", max_retries=1),
            TaskRequest("absent", ["/nowhere/program"]),
        ],
    )
    assert ended(batch, job_id) == {
        "good": TaskReport("good", TaskState.SUCCEEDED, exit_code=0),
        "bad": TaskReport(
            "bad",
            TaskState.FAILED,
            exit_code=3,
            message="FailureExitCode: The task exited with an exit code representing a failure",
            retries=1,
        ),
        "absent": TaskReport(
            "absent",
            TaskState.FAILED,
            message="CommandProgramNotFound: The specified command program is not found",
        ),
    }


def test_arguments_reach_the_program_unchanged(batch, job_id):
    arguments = ["two words", "it's", '"quoted"', "$HOME", "a\\b", "", "ü"]
    code = "import json, sys; print(json.dumps(sys.argv[1:]), file=sys.stderr)"
    batch.submit(job_id, [TaskRequest("t", [sys.executable, "-c", code, *arguments])])
    ended(batch, job_id)
    assert json.loads(batch.output_tail(job_id, "t")) == arguments


def test_a_task_sees_the_environment_that_the_adapter_was_given(batch, job_id):
    batch.submit(job_id, [python("t", "import os, sys; sys.stderr.write(os.environ['DATA_STORAGE'])")])
    ended(batch, job_id)
    assert batch.output_tail(job_id, "t") == "where the data is"


def test_submitting_again_adds_what_is_new_and_repeats_nothing(batch, job_id, tmp_path):
    log = tmp_path / "log"
    tasks = [python(f"t{number}", f"open({str(log)!r}, 'a').write('{number}')") for number in range(3)]
    batch.submit(job_id, tasks[:2])
    batch.submit(job_id, tasks)
    assert set(ended(batch, job_id)) == {"t0", "t1", "t2"}
    assert sorted(log.read_text()) == ["0", "1", "2"]


def test_more_tasks_than_one_request_takes_are_all_added(batch, account):
    pool_free_job = "adapter-many"
    with_many = [TaskRequest(f"t{number}", ["true", "x" * 15_000]) for number in range(150)]
    account.client.create_job(
        models.BatchJobCreateOptions(id=pool_free_job, pool_info=models.BatchPoolInfo(pool_id="none"))
    )
    batch.submit(pool_free_job, with_many)  # 100 tasks are more than 1 MB: the service asks for less at a time
    reports = batch.reports(pool_free_job)
    assert len(reports) == 150
    assert {report.state for report in reports.values()} == {TaskState.WAITING}
    batch.finish(pool_free_job, "the test is over")


def test_no_tasks_need_no_job(batch, job_id):
    batch.submit(job_id, [])
    assert batch.reports(job_id) == {}


def test_slots_limits_and_retention_reach_the_service(batch, account, job_id):
    batch.submit(job_id, [python("t", "", slots=2, max_retries=4, max_seconds=90)])
    task = account.client.get_task(job_id, "t")
    assert (task.required_slots, task.constraints.max_task_retry_count) == (2, 4)
    assert task.constraints.max_wall_clock_time.total_seconds() == 90
    assert task.constraints.retention_time.total_seconds() == 3600
    job = account.client.get_job(job_id)
    assert (job.pool_info.pool_id, job.all_tasks_complete_mode) == (POOL, "noaction")


def test_a_task_over_its_time_is_reported_as_failed(batch, job_id):
    batch.submit(job_id, [python("t", "import time; time.sleep(60)", max_seconds=1)])
    report = ended(batch, job_id)["t"]
    assert (report.state, report.retries) == (TaskState.FAILED, 0)
    assert report.message.startswith("TaskEnded: ")


def test_running_and_waiting_tasks_are_told_apart(batch, job_id):
    batch.submit(job_id, [python(f"t{number}", "import time; time.sleep(60)", slots=4) for number in range(2)])
    wait_until(lambda: TaskState.RUNNING in {report.state for report in batch.reports(job_id).values()})
    assert batch.reports(job_id)["t1"] == TaskReport("t1", TaskState.WAITING)


def test_a_refused_task_is_named_though_the_sdk_would_swallow_it(batch, job_id):
    with pytest.raises(PermanentError, match=r"refused 1 tasks, the first is bad id: InvalidPropertyValue; .*id") as e:
        batch.submit(job_id, [python("good", ""), python("bad id", "")])
    assert "PropertyName" in str(e.value)
    assert set(batch.reports(job_id)) == {"good"}


def test_finish_ends_the_job_and_is_success_when_it_has_ended_or_never_was(batch, account, job_id):
    batch.submit(job_id, [python("t", "import time; time.sleep(60)")])
    batch.finish(job_id, "cancelled by the lab")
    assert not [thread.name for thread in threading.enumerate() if "Poller" in thread.name]  # none stays behind
    job = account.job_in_state(job_id, "completed")
    assert job.execution_info.termination_reason == "cancelled by the lab"
    batch.finish(job_id, "again")
    batch.finish("never-made", "nothing to end")


def test_an_ended_job_takes_no_tasks(batch, job_id):
    batch.submit(job_id, [python("t", "")])
    batch.finish(job_id, "over")
    with pytest.raises(PermanentError, match=f"Batch job {job_id} has ended .* delete the job first"):
        batch.submit(job_id, [python("late", "")])


def test_output_tail_is_the_end_of_stderr_and_empty_when_there_is_none(batch, job_id):
    batch.submit(job_id, [python("t", "import sys; sys.stderr.write('x' * 5000 + 'the end')"), python("quiet", "")])
    ended(batch, job_id)
    assert batch.output_tail(job_id, "t", 10) == "xxxthe end"
    assert len(batch.output_tail(job_id, "t")) == 2000
    assert len(batch.output_tail(job_id, "t", 9999)) == 5007
    assert batch.output_tail(job_id, "quiet") == ""
    assert batch.output_tail(job_id, "nothing") == ""
    assert batch.output_tail("nothing", "nothing") == ""


def test_an_image_is_sent_with_every_task(batch_service, account):
    machine = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="p", offer="o", sku="s"),
        node_agent_sku_id="batch.node.ubuntu 24.04",
        container_configuration=models.BatchContainerConfiguration(type="dockerCompatible"),
    )
    pool = account.pool(virtual_machine_configuration=machine)
    image = ContainerImage("registry.example/worker@sha256:00", "--rm")
    endpoint = batch_service.endpoint
    with AzureBatch.connect(endpoint, pool, account=ACCOUNT, key=KEY, image=image) as adapter:
        adapter.submit("adapter-image", [python("t", "")])
        ended(adapter, "adapter-image")
    settings = account.client.get_task("adapter-image", "t").container_settings
    assert (settings.image_name, settings.container_run_options) == (image.name, "--rm")


# --- failures ---------------------------------------------------------------------------------------------


def test_a_wrong_key_is_permanent_and_says_what_to_do(batch_service):
    with AzureBatch.connect(batch_service.endpoint, POOL, account=ACCOUNT, key="d3Jvbmc=") as adapter:
        for call in (
            lambda: adapter.reports("j"),
            lambda: adapter.submit("j", [python("t", "")]),
            lambda: adapter.finish("j", "x"),
            lambda: adapter.output_tail("j", "t"),
        ):
            with pytest.raises(PermanentError, match="denied access") as caught:
                call()
            assert caught.value.__cause__ is not None


def test_a_key_that_is_no_base64_is_found_at_once():
    with pytest.raises(PermanentError, match="not base64"):
        AzureBatch.connect("http://127.0.0.1:1", POOL, account=ACCOUNT, key="not base64!")


def test_without_a_key_it_connects_as_the_managed_identity():
    with AzureBatch.connect("https://myaccount.westeurope.batch.azure.com", POOL, client_id="0-0") as adapter:
        assert isinstance(adapter, AzureBatch)  # no request is made, so nothing is asked of an identity


def test_an_endpoint_that_is_no_url_is_found_at_once():
    with pytest.raises(PermanentError, match="is no URL"):
        AzureBatch.connect("myaccount.westeurope.batch.azure.com", POOL, account=ACCOUNT, key=KEY)


@pytest.fixture
def quick(monkeypatch):
    """Retries without their pauses; the number of tries stays."""
    from shared.adapters import batch as module

    monkeypatch.setattr(module, "_OPTIONS", {**module._OPTIONS, "retry_backoff_factor": 0})


def test_a_service_that_is_not_there_is_transient(quick):
    with (
        AzureBatch.connect("http://127.0.0.1:1", POOL, account=ACCOUNT, key=KEY) as adapter,
        pytest.raises(TransientError, match="was not reached"),
    ):
        adapter.reports("j")


class _Canned:
    """A server that answers every request alike and counts them."""

    def __init__(self, status, document):
        canned, body = self, json.dumps(document).encode()
        self.count = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                canned.count += 1
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Type", "application/json; odata=minimalmetadata")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _error(code):
    return {"code": code, "message": {"lang": "en-US", "value": code}}


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (503, _error("ServerBusy"), TransientError),
        (500, _error("InternalError"), TransientError),
        (429, _error("TooManyRequests"), TransientError),
        (409, _error("ActiveJobAndScheduleQuotaReached"), TransientError),
        (409, _error("JobBeingDeleted"), TransientError),
        (409, _error("JobCompleted"), PermanentError),
        (400, _error("InvalidRequestBody"), PermanentError),
        (200, {"value": [{"status": "ServerError", "taskId": "t", "error": _error("ServerBusy")}]}, TransientError),
        (200, {"value": [{"status": "ClientError", "taskId": "t", "error": _error("TaskExists")}]}, None),
        (
            200,
            {"value": [{"status": "clienterror", "taskId": "t", "error": _error("InvalidPropertyValue")}]},
            PermanentError,
        ),
    ],
)
def test_every_refusal_of_a_submit_ends_soon_and_with_the_right_kind(quick, status, document, kind):
    begin = time.monotonic()
    with (
        _Canned(status, document) as server,
        AzureBatch.connect(server.endpoint, POOL, account=ACCOUNT, key=KEY) as adapter,
    ):
        if kind is None:
            adapter.submit("j", [python("t", "")])
        else:
            with pytest.raises(kind):
                adapter.submit("j", [python("t", "")])
        assert server.count <= 4
    assert time.monotonic() - begin < 5
