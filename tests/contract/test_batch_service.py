"""The local Batch service as the unmodified azure-batch SDK sees it: access, files, and its own process."""

import json
import signal
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import (
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.rest import HttpRequest

from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.service import BatchService
from shared.errors import PermanentError
from tests.contract.batch_fixtures import (
    KEY,
    Account,
    account,
    alive,
    batch_service,
    client_for,
    refusal,
    running_service,
    service_process,
    task_options,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract


# --- authentication -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"), [("localbatch", "d3Jvbmc="), ("someoneelse", KEY)], ids=["wrong key", "wrong account"]
)
def test_a_wrong_signature_is_403_authentication_failed(batch_service, name, key):
    with client_for(batch_service.endpoint, name, key) as client:
        refusal("AuthenticationFailed", 403, client.get_job, "any")


def test_a_request_signed_20_minutes_ago_is_refused(account):
    old = datetime.now(UTC) - timedelta(minutes=20)
    refusal("AuthenticationFailed", 403, account.client.get_job, "any", ocp_date=old)


def test_a_request_without_signature_is_refused_but_health_needs_none(batch_service):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{batch_service.endpoint}/jobs?api-version=2025-06-01")
    with caught.value as error:
        assert error.code == 403
        assert json.load(error)["code"] == "AuthenticationFailed"
    with urllib.request.urlopen(f"{batch_service.endpoint}/local/health") as response:
        assert json.load(response)["status"] == "ready"


def test_an_error_body_has_the_services_form(account):
    error = refusal("JobNotFound", 404, account.client.get_job, "nothing")
    assert isinstance(error, ResourceNotFoundError)
    assert error.model.message.lang == "en-US"
    assert error.model.message.value.startswith("The specified job does not exist.\nRequestId:")
    assert "odata.metadata" in json.loads(error.response.text())


def test_an_unknown_path_is_404_and_a_wrong_method_405(account):
    for method, path, status in [("GET", "/nothing", 404), ("DELETE", "/jobs", 405)]:
        request = HttpRequest(method, path, params={"api-version": "2025-06-01"})
        with pytest.raises(HttpResponseError) as caught:
            account.client.send_request(request)
        assert caught.value.status_code == status


# --- files ----------------------------------------------------------------------------------------------------


def test_task_files_are_listed_described_and_read_in_part(account):
    client = account.client
    job_id = account.job()
    account.task(job_id, "printf 0123456789; mkdir sub; echo x > 'sub/a file.txt'")
    account.completed(job_id)
    names = {item.name: item.is_directory for item in client.list_task_files(job_id, "t")}
    assert names == {"stdout.txt": False, "stderr.txt": False, "wd": True}
    names = [item.name for item in client.list_task_files(job_id, "t", recursive=True)]
    assert "wd/sub/a file.txt" in names
    assert account.output(job_id, name="wd/sub/a file.txt") == "x\n"
    properties = client.get_task_file_properties(job_id, "t", "stdout.txt")
    assert (properties.content_length, properties.is_directory, properties.file_mode) == (10, False, "0o100644")
    assert properties.url.endswith(f"/jobs/{job_id}/tasks/t/files/stdout.txt")
    part = client.download_task_file(job_id, "t", "stdout.txt", ocp_range="bytes=4-6")
    assert b"".join(part) == b"456"
    for name in ("nothing.txt", "wd"):
        with pytest.raises(ResourceNotFoundError) as caught:
            client.download_task_file(job_id, "t", name)
        assert caught.value.status_code == 404
        assert getattr(caught.value.error, "code", None) is None  # a streamed answer: the SDK reads no body
        caught.value.response.close()  # nor closes the connection
    with pytest.raises(ResourceNotFoundError):
        client.get_task_file_properties(job_id, "t", "nothing.txt")


def test_files_go_when_the_retention_time_is_over(account):
    job_id = account.job()
    account.task(job_id, "echo x", constraints=models.BatchTaskConstraints(retention_time=timedelta(seconds=1)))
    account.completed(job_id)
    error = wait_until(lambda: _list_error(account, job_id))
    assert (error.error.code, error.status_code) == ("TaskFilesCleanedup", 409)


def _list_error(account, job_id):
    try:
        list(account.client.list_task_files(job_id, "t"))
    except HttpResponseError as error:
        return error
    return None


# --- the process ----------------------------------------------------------------------------------------------


def _start_sleeper(client, pid_file):
    account = Account(client)
    job_id = account.job()
    account.task(job_id, f"sleep 300 & echo $! >> {pid_file}; wait", "sleeper")
    account.client.create_task(job_id, task_options("done"))
    account.completed(job_id, "done")
    wait_until(lambda: pid_file.exists() and pid_file.read_text())
    return account, job_id


def test_sigterm_leaves_no_process_and_a_new_start_runs_the_task_again(tmp_path):
    pid_file = tmp_path / "pids"
    with service_process(tmp_path / "state") as (process, endpoint), client_for(endpoint) as client:
        _, job_id = _start_sleeper(client, pid_file)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not alive(int(pid_file.read_text()))
    with service_process(tmp_path / "state") as (_, endpoint), client_for(endpoint) as client:
        account = Account(client)
        wait_until(lambda: len(pid_file.read_text().split()) == 2)
        info = account.in_state(job_id, "sleeper", "running").execution_info
        assert (info.requeue_count, info.retry_count) == (1, 0)
        assert client.get_task(job_id, "done").execution_info.result == "success"
    assert not any(alive(int(pid)) for pid in pid_file.read_text().split())


def test_a_killed_service_ends_its_leftover_processes_when_it_starts_again(tmp_path):
    pid_file = tmp_path / "pids"
    with service_process(tmp_path / "state") as (process, endpoint), client_for(endpoint) as client:
        _, job_id = _start_sleeper(client, pid_file)
        process.kill()
        process.wait(10)
    leftover = int(pid_file.read_text())
    assert alive(leftover)
    with running_service(tmp_path / "state") as service, client_for(service.endpoint) as client:
        wait_until(lambda: not alive(leftover))
        wait_until(lambda: len(pid_file.read_text().split()) == 2)
        assert client.get_task(job_id, "sleeper").execution_info.requeue_count == 1
    assert not any(alive(int(pid)) for pid in pid_file.read_text().split())


def test_a_service_with_a_bad_key_says_so_and_exits_with_2(tmp_path, capsys):
    import argparse

    from infra.local.batch_service import add_arguments, run

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--account", "a", "--key", "not base64!", "--state", str(tmp_path), "--port", "0"])
    assert run(args) == 2
    assert "is not base64 text" in capsys.readouterr().err


def test_two_services_cannot_share_a_folder_or_a_port(tmp_path):
    with running_service(tmp_path / "a") as service:
        with pytest.raises(PermanentError, match="Another Batch service may be using"):
            BatchService(SharedKey("a", KEY), tmp_path / "a")
        port = int(service.endpoint.rpartition(":")[2])
        with pytest.raises(PermanentError, match=f"Cannot listen on 127.0.0.1:{port}"):
            BatchService(SharedKey("a", KEY), tmp_path / "b", port=port)


def test_stopping_is_quick_while_clients_stay_connected(tmp_path):
    with running_service(tmp_path) as service, client_for(service.endpoint) as client:
        list(client.list_jobs())
        begin = time.monotonic()
        service.stop()
        assert time.monotonic() - begin < 3
        service.stop = lambda: None
