"""The local Batch service as the unmodified azure-batch SDK sees it."""

import contextlib
import http.server
import itertools
import json
import random
import signal
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.rest import HttpRequest

from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.service import BatchService
from shared.errors import PermanentError
from tests.contract.batch_fixtures import (
    KEY,
    POOL,
    Account,
    account,
    alive,
    batch_service,
    client_for,
    running_service,
    service_process,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract

NO_LIMIT = timedelta(days=10675199, hours=2, minutes=48, seconds=5, microseconds=477581)
POLL = {"polling_interval": 0.05}


def refusal(code, status, call, *args, **kwargs):
    """Call, and return the error that must come."""
    with pytest.raises(HttpResponseError) as caught:
        call(*args, **kwargs)
    assert caught.value.error is not None
    assert (caught.value.error.code, caught.value.status_code) == (code, status)
    return caught.value


def task_options(task_id, command="/bin/true", **options):
    return models.BatchTaskCreateOptions(id=task_id, command_line=command, **options)


# --- authentication ---------------------------------------------------------------------------------------


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


# --- pools ------------------------------------------------------------------------------------------------


def test_a_pool_lives_from_create_to_delete(account):
    client = account.client
    pool_id = account.pool(slots=3, nodes=2)
    pool = client.get_pool(pool_id.upper())
    assert (pool.id, pool.state, pool.allocation_state) == (pool_id, "active", "steady")
    assert (pool.task_slots_per_node, pool.current_dedicated_nodes) == (3, 2)
    assert client.pool_exists(pool_id)
    assert pool_id in {item.id for item in client.list_pools()}
    refusal("PoolExists", 409, account.pool, pool_id.upper())
    client.begin_resize_pool(
        pool_id, models.BatchPoolResizeOptions(target_dedicated_nodes=1, target_low_priority_nodes=2), **POLL
    ).wait()
    pool = client.get_pool(pool_id)
    assert (pool.current_dedicated_nodes, pool.current_low_priority_nodes) == (1, 2)
    assert len(list(client.list_nodes(pool_id))) == 3
    client.begin_delete_pool(pool_id, **POLL).wait()
    refusal("PoolNotFound", 404, client.get_pool, pool_id)
    refusal("PoolNotFound", 404, client.begin_delete_pool, pool_id)


def test_pool_exists_raises_for_a_pool_that_is_not_there(account):
    with pytest.raises(ResourceNotFoundError):
        account.client.pool_exists("nothing")


def test_deleting_a_pool_requeues_its_tasks_for_the_next_pool_of_that_name(account):
    pool_id = account.pool()
    job_id = account.job(pool_id)
    account.task(job_id, "sleep 60")
    account.in_state(job_id, "t", "running")
    account.client.begin_delete_pool(pool_id, **POLL).wait()
    task = account.in_state(job_id, "t", "active")
    assert (task.execution_info.requeue_count, task.execution_info.retry_count) == (1, 0)
    account.pool(pool_id)
    account.in_state(job_id, "t", "running")
    account.client.begin_delete_job(job_id, **POLL).wait()


@pytest.mark.parametrize(
    ("option", "state"), [("requeue", "active"), ("terminate", "completed"), ("taskcompletion", "running")]
)
def test_a_shrinking_pool_does_with_its_tasks_what_it_is_told(account, option, state):
    client = account.client
    pool_id = account.pool()
    job_id = account.job(pool_id)
    account.task(job_id, "sleep 60")
    account.in_state(job_id, "t", "running")
    resize = models.BatchPoolResizeOptions(target_dedicated_nodes=0, node_deallocation_option=option)
    poller = client.begin_resize_pool(pool_id, resize, **POLL)
    account.in_state(job_id, "t", state)
    if state == "running":
        assert client.get_pool(pool_id).allocation_state == "resizing"
        refusal("PoolBeingResized", 409, client.begin_resize_pool, pool_id, resize)
        client.terminate_task(job_id, "t")
    poller.wait()
    assert (client.get_pool(pool_id).allocation_state, list(client.list_nodes(pool_id))) == ("steady", [])


def test_an_autoscaled_pool_has_the_nodes_of_this_machine(account):
    client = account.client
    client.create_pool(
        models.BatchPoolCreateOptions(
            id="scaled",
            vm_size="x",
            enable_auto_scale=True,
            auto_scale_formula="$TargetLowPriorityNodes=min(9,$PendingTasks)",
        )
    )
    pool = client.get_pool("scaled")
    assert (pool.enable_auto_scale, pool.current_dedicated_nodes) == (True, 1)
    job_id = account.job("scaled")
    account.task(job_id, "true")
    account.completed(job_id)


def test_a_start_task_is_refused_rather_than_ignored(account):
    error = refusal("UnsupportedProperty", 400, account.pool, start_task=models.BatchStartTask(command_line="x"))
    assert {detail.code: detail.message for detail in error.error.details}["PropertyName"] == "startTask"


# --- jobs -------------------------------------------------------------------------------------------------


def test_a_new_job_is_active_and_shows_the_services_defaults(account):
    job = account.client.get_job(account.job())
    assert (job.state, job.all_tasks_complete_mode, job.task_failure_mode) == ("active", "noaction", "noaction")
    assert (job.priority, job.uses_task_dependencies) == (0, False)
    assert (job.constraints.max_task_retry_count, job.constraints.max_wall_clock_time) == (0, NO_LIMIT)
    assert job.execution_info.pool_id == POOL
    assert job.etag.startswith("0x")


def test_a_job_that_exists_cannot_be_created_again_in_any_case(account):
    job_id = account.job()
    options = models.BatchJobCreateOptions(id=job_id.upper(), pool_info=models.BatchPoolInfo(pool_id=POOL))
    error = refusal("JobExists", 409, account.client.create_job, options)
    assert isinstance(error, ResourceExistsError)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"id": "x"}, "MissingRequiredProperty"),
        ({"poolInfo": {"poolId": POOL}}, "MissingRequiredProperty"),
        ({"id": "x y", "poolInfo": {"poolId": POOL}}, "InvalidPropertyValue"),
        ({"id": "x" * 65, "poolInfo": {"poolId": POOL}}, "InvalidPropertyValue"),
        ({"id": "x", "poolInfo": {"poolId": POOL}, "priority": 1001}, "OutOfRangePriority"),
        ({"id": "x", "poolInfo": {"poolId": POOL}, "onAllTasksComplete": "x"}, "InvalidPropertyValue"),
        (
            {"id": "x", "poolInfo": {"poolId": POOL}, "constraints": {"maxTaskRetryCount": -2}},
            "InvalidConstraintValue",
        ),
        (
            {"id": "x", "poolInfo": {"poolId": POOL}, "constraints": {"maxWallClockTime": "1h"}},
            "InvalidPropertyValue",
        ),
    ],
)
def test_a_bad_job_is_refused_with_its_code(account, document, code):
    refusal(code, 400, account.client.create_job, document)


def test_conditions_on_a_job(account):
    client = account.client
    job_id = account.job()
    etag = client.get_job(job_id).etag
    with pytest.raises(ResourceModifiedError) as caught:
        client.get_job(job_id, etag=etag, match_condition=MatchConditions.IfModified)
    assert caught.value.status_code == 304
    changes = models.BatchJobUpdateOptions(priority=7)
    client.update_job(job_id, changes, etag=etag, match_condition=MatchConditions.IfNotModified)
    assert client.get_job(job_id).priority == 7
    error = refusal(
        "ConditionNotMet",
        412,
        client.update_job,
        job_id,
        changes,
        etag=etag,
        match_condition=MatchConditions.IfNotModified,
    )
    assert isinstance(error, ResourceModifiedError)
    error = refusal(
        "JobNotFound",
        404,
        client.update_job,
        "nothing",
        changes,
        etag=etag,
        match_condition=MatchConditions.IfNotModified,
    )
    assert isinstance(error, ResourceModifiedError)  # every failure is, once If-Match is sent
    refusal(
        "ConditionNotMet", 412, client.update_job, job_id, changes, if_unmodified_since=datetime(2001, 1, 1, tzinfo=UTC)
    )


def test_replace_job_puts_what_is_left_out_back_to_its_default(account):
    client = account.client
    job_id = account.job(priority=5)
    job = client.get_job(job_id)
    job.priority = None
    job.constraints = models.BatchJobConstraints(max_task_retry_count=2)
    client.replace_job(job_id, job)
    job = client.get_job(job_id)
    assert (job.priority, job.constraints.max_task_retry_count) == (0, 2)


def test_terminate_ends_running_tasks_and_leaves_active_ones_active(account):
    client = account.client
    job_id = account.job(account.pool())
    account.task(job_id, "sleep 60", "runs")
    account.task(job_id, "true", "waits")
    account.in_state(job_id, "runs", "running")
    client.begin_terminate_job(job_id, options={"terminateReason": "cancelled"}, **POLL).wait()
    job = client.get_job(job_id)
    assert (job.state, job.execution_info.termination_reason) == ("completed", "cancelled")
    assert job.execution_info.end_time is not None
    ended, waiting = client.get_task(job_id, "runs"), client.get_task(job_id, "waits")
    assert (ended.state, ended.execution_info.result) == ("completed", "failure")
    assert ended.execution_info.failure_info.code == "TaskEnded"
    assert waiting.state == "active"
    changes = models.BatchJobUpdateOptions(priority=1)
    refusal("JobCompleted", 409, client.update_job, job_id, changes)
    refusal("JobCompleted", 409, client.begin_terminate_job, job_id, options={"terminateReason": "x"})
    refusal("JobCompleted", 409, client.create_task, job_id, task_options("late"))
    refusal("JobCompleted", 409, client.begin_disable_job, job_id, models.BatchJobDisableOptions(disable_tasks="wait"))


def test_begin_terminate_without_options_fails_inside_the_sdk(account):
    job_id = account.job()
    with pytest.raises(ValueError, match="No value for given attribute"):
        account.client.begin_terminate_job(job_id)
    assert account.client.get_job(job_id).state == "active"


def test_delete_job_ends_its_tasks_and_frees_its_name(account):
    client = account.client
    job_id = account.job()
    account.task(job_id, "echo $$ > pid; sleep 60")
    pid = int(wait_until(lambda: _text(account, job_id, "wd/pid")))
    client.begin_delete_job(job_id, **POLL).wait()
    refusal("JobNotFound", 404, client.get_job, job_id)
    refusal("JobNotFound", 404, client.get_task, job_id, "t")
    refusal("JobNotFound", 404, client.begin_delete_job, job_id)
    assert not alive(pid)


def _text(account, job_id, name, task_id="t"):
    try:
        return account.output(job_id, task_id, name).strip()
    except HttpResponseError as error:
        error.response.close()  # a streamed answer stays open otherwise
        return ""


@pytest.mark.parametrize(
    ("option", "state", "result"), [("requeue", "active", None), ("terminate", "completed", "failure")]
)
def test_disable_stops_running_tasks_and_enable_starts_again(account, option, state, result):
    client = account.client
    job_id = account.job()
    account.task(job_id, "sleep 60")
    account.in_state(job_id, "t", "running")
    refusal("OperationInvalidForCurrentState", 409, client.begin_enable_job, job_id)
    client.begin_disable_job(job_id, models.BatchJobDisableOptions(disable_tasks=option), **POLL).wait()
    assert client.get_job(job_id).state == "disabled"
    task = client.get_task(job_id, "t")
    assert (task.state, task.execution_info.result) == (state, result)
    assert task.execution_info.requeue_count == (1 if option == "requeue" else 0)
    account.task(job_id, "true", "later")
    client.begin_enable_job(job_id, **POLL).wait()
    account.completed(job_id, "later")
    client.begin_delete_job(job_id, **POLL).wait()


def test_disable_with_wait_lets_tasks_finish(account, tmp_path):
    client = account.client
    job_id = account.job()
    go = tmp_path / "go"
    account.task(job_id, f"while [ ! -e {go} ]; do sleep 0.01; done")
    account.in_state(job_id, "t", "running")
    poller = client.begin_disable_job(
        job_id, models.BatchJobDisableOptions(disable_tasks="wait"), polling_interval=0.05
    )
    assert client.get_job(job_id).state == "disabling"
    go.touch()
    poller.wait()
    assert client.get_job(job_id).state == "disabled"
    assert client.get_task(job_id, "t").execution_info.result == "success"


def test_a_job_ends_with_its_last_task_when_it_is_told_to(account):
    client = account.client
    job_id = account.job()
    account.task(job_id, "true")
    account.completed(job_id)
    assert client.get_job(job_id).state == "active"
    client.update_job(job_id, models.BatchJobUpdateOptions(all_tasks_complete_mode="terminatejob"))
    job = account.job_in_state(job_id, "completed")
    assert job.execution_info.termination_reason == "AllTasksComplete"


def test_a_job_without_tasks_counts_as_complete(account):
    job_id = account.job(all_tasks_complete_mode="terminatejob")
    account.job_in_state(job_id, "completed")


def test_a_failed_task_terminates_its_job_when_its_exit_conditions_say_so(account):
    job_id = account.job(task_failure_mode="performexitoptionsjobaction")
    conditions = models.ExitConditions(
        exit_codes=[models.ExitCodeMapping(code=3, exit_options=models.ExitOptions(job_action="none"))]
    )
    account.task(job_id, "exit 3", "harmless", exit_conditions=conditions)
    account.completed(job_id, "harmless")
    assert account.client.get_job(job_id).state == "active"
    account.task(job_id, "exit 4", "fatal", exit_conditions=conditions)
    job = account.job_in_state(job_id, "completed")
    assert job.execution_info.termination_reason == "TaskFailed"
    refused = account.job()  # onTaskFailure noaction
    conditions.exit_codes[0].exit_options.job_action = "terminate"
    refusal("InvalidPropertyValue", 400, account.task, refused, "true", exit_conditions=conditions)


def test_a_job_over_its_wall_clock_time_is_terminated(account):
    job_id = account.job(constraints=models.BatchJobConstraints(max_wall_clock_time=timedelta(seconds=1)))
    account.task(job_id, "sleep 60")
    job = account.job_in_state(job_id, "completed")
    assert job.execution_info.termination_reason == "MaxWallClockTimeExpiry"
    assert account.client.get_task(job_id, "t").execution_info.failure_info.code == "TaskEnded"


def test_jobs_are_listed_filtered_and_selected(account):
    job_id = account.job(priority=3)
    found = list(account.client.list_jobs(filter=f"id eq '{job_id.upper()}' and state eq 'Active'", select=["id"]))
    assert [dict(job) for job in found] == [{"id": job_id}]
    assert job_id in {job.id for job in account.client.list_jobs(filter="priority ge 3")}


def test_higher_priority_runs_first(account):
    pool_id = account.pool()
    low, high = account.job(pool_id), account.job(pool_id, priority=10)
    account.task(low, "sleep 60", "blocker")
    account.in_state(low, "blocker", "running")
    account.task(low, "true", "second")
    account.task(high, "true", "first")
    account.client.terminate_task(low, "blocker")
    first, second = account.completed(high, "first"), account.completed(low, "second")
    assert first.execution_info.start_time < second.execution_info.start_time


# --- tasks: how they end ----------------------------------------------------------------------------------


def test_exit_0_is_success(account):
    job_id = account.job()
    account.task(job_id, "echo out; echo err >&2")
    task = account.completed(job_id)
    info = task.execution_info
    assert (info.result, info.exit_code, info.failure_info, info.retry_count) == ("success", 0, None, 0)
    assert info.start_time <= info.end_time
    assert task.previous_state == "running"
    assert task.node_info.pool_id == POOL
    assert (account.output(job_id), account.output(job_id, name="stderr.txt")) == ("out\n", "err\n")
    assert task.constraints.max_wall_clock_time == NO_LIMIT
    assert task.constraints.retention_time == timedelta(days=7)


def test_a_non_zero_exit_is_retried_and_then_a_failure(account, tmp_path):
    job_id = account.job()
    runs = tmp_path / "runs"
    account.task(job_id, f"echo x >> {runs}; exit 7", constraints=models.BatchTaskConstraints(max_task_retry_count=2))
    info = account.completed(job_id).execution_info
    assert runs.read_text() == "x\n" * 3  # n retries are n + 1 runs
    assert (info.result, info.exit_code, info.retry_count) == ("failure", 7, 2)
    assert info.last_retry_time is not None
    failure = info.failure_info
    assert (failure.category, failure.code) == ("usererror", "FailureExitCode")
    assert [detail.name for detail in failure.details] == ["Message", "AdditionalErrorCode"]


def test_a_retry_that_succeeds_is_a_success(account, tmp_path):
    job_id = account.job(constraints=models.BatchJobConstraints(max_task_retry_count=-1))
    mark = tmp_path / "mark"
    account.task(job_id, f"test -e {mark} || {{ touch {mark}; exit 1; }}")
    info = account.completed(job_id).execution_info
    assert (info.result, info.retry_count) == ("success", 1)


@pytest.mark.parametrize(
    ("command", "code"),
    [("/nowhere/program --flag", "CommandProgramNotFound"), ("echo 'unbalanced", "CommandLaunchFailed")],
)
def test_a_command_that_cannot_start_is_a_failure_without_exit_code_and_without_retry(account, command, code):
    job_id = account.job(constraints=models.BatchJobConstraints(max_task_retry_count=3))
    account.client.create_task(job_id, task_options("t", command))
    info = account.completed(job_id).execution_info
    assert (info.result, info.exit_code, info.retry_count) == ("failure", None, 0)
    assert (info.failure_info.category, info.failure_info.code) == ("usererror", code)


def test_a_command_line_is_not_read_by_a_shell(account):
    job_id = account.job()
    account.client.create_task(job_id, task_options("t", "/bin/echo $HOME 'two  words' && false"))
    account.completed(job_id)
    assert account.output(job_id) == "$HOME two  words && false\n"


def test_max_wall_clock_time_ends_a_task_with_its_children_and_is_not_retried(account):
    job_id = account.job()
    constraints = models.BatchTaskConstraints(max_wall_clock_time=timedelta(seconds=1), max_task_retry_count=3)
    account.task(job_id, "sleep 60 & echo $!; wait", constraints=constraints)
    info = account.completed(job_id).execution_info
    assert (info.result, info.failure_info.code, info.retry_count) == ("failure", "TaskEnded", 0)
    assert not alive(int(account.output(job_id)))


def test_children_that_outlive_the_command_are_killed(account):
    job_id = account.job()
    account.task(job_id, "sleep 60 & echo $!")
    assert account.completed(job_id).execution_info.result == "success"
    assert not alive(int(account.output(job_id)))


def test_terminate_task_ends_a_running_and_an_active_task(account):
    client = account.client
    job_id = account.job(account.pool())
    account.task(job_id, "sleep 60", "runs")
    account.task(job_id, "true", "waits")
    account.in_state(job_id, "runs", "running")
    client.terminate_task(job_id, "waits")
    client.terminate_task(job_id, "runs")
    for task_id in ("runs", "waits"):
        info = account.completed(job_id, task_id).execution_info
        assert (info.result, info.failure_info.code) == ("failure", "TaskEnded")
        assert info.failure_info.message == "Task Was Ended by User Request"
    refusal("TaskCompleted", 409, client.terminate_task, job_id, "runs")
    refusal("TaskNotFound", 404, client.terminate_task, job_id, "nothing")


def test_a_preempted_task_runs_again_without_counting_a_retry(account, batch_service, tmp_path):
    job_id = account.job()
    runs = tmp_path / "runs"
    account.task(job_id, f"touch leftover{{}}; ls; echo x >> {runs}; test $(wc -l < {runs}) = 2 || sleep 60")
    wait_until(runs.exists)
    url = f"{batch_service.endpoint}/local/preempt?jobId={job_id}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as response:
        assert json.load(response)["taskId"] == "t"
    info = account.completed(job_id).execution_info
    assert (info.result, info.retry_count, runs.read_text()) == ("success", 0, "x\n" * 2)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, method="POST"))
    with caught.value as error:
        assert error.code == 404


def test_reactivate_runs_a_failed_task_again_and_no_other(account, tmp_path):
    client = account.client
    job_id = account.job()
    mark = tmp_path / "mark"
    account.task(job_id, f"test -e {mark}")
    account.completed(job_id)
    mark.touch()
    client.reactivate_task(job_id, "t")
    info = wait_until(
        lambda: info if (info := client.get_task(job_id, "t").execution_info).result == "success" else None
    )
    assert (info.exit_code, info.retry_count) == (0, 0)
    refusal("OperationInvalidForCurrentState", 409, client.reactivate_task, job_id, "t")


def test_a_signal_shows_as_128_plus_its_number(account):
    job_id = account.job()
    account.task(job_id, "kill -9 $$")
    assert account.completed(job_id).execution_info.exit_code == 137


# --- tasks: what they get ---------------------------------------------------------------------------------


def test_environment_and_directories_of_a_task(account, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "x")
    job_id = account.job(
        common_environment_settings=[
            models.EnvironmentSetting(name="BOTH", value="job"),
            models.EnvironmentSetting(name="JOB", value="j"),
        ]
    )
    account.task(job_id, "env; pwd", environment_settings=[models.EnvironmentSetting(name="BOTH", value="task")])
    account.completed(job_id)
    *lines, cwd = account.output(job_id).splitlines()
    env = dict(line.split("=", 1) for line in lines)
    assert (env["BOTH"], env["JOB"]) == ("task", "j")
    assert "SECRET_OF_THE_SERVICE" not in env
    assert "PATH" in env
    assert env["AZ_BATCH_ACCOUNT_NAME"] == "localbatch"
    assert (env["AZ_BATCH_JOB_ID"], env["AZ_BATCH_TASK_ID"], env["AZ_BATCH_POOL_ID"]) == (job_id, "t", POOL)
    assert env["AZ_BATCH_TASK_WORKING_DIR"] == cwd == f"{env['AZ_BATCH_TASK_DIR']}/wd"
    assert env["AZ_BATCH_TASK_DIR"].startswith(env["AZ_BATCH_NODE_ROOT_DIR"])
    assert env["AZ_BATCH_NODE_SHARED_DIR"] == f"{env['AZ_BATCH_NODE_ROOT_DIR']}/shared"
    assert (env["AZ_BATCH_NODE_ID"], env["AZ_BATCH_NODE_IS_DEDICATED"]) == ("tvm-workers-0-d", "true")


@pytest.fixture
def web():
    """A web server: /ok answers 200, /403 and /404 and /500 answer with that status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status = 200 if self.path == "/ok" else int(self.path[1:4])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"reference\n")

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_resource_files_are_there_when_the_command_starts(account, web):
    job_id = account.job()
    files = [models.ResourceFile(http_url=f"{web}/ok", file_path="a/b.txt", file_mode="0750")]
    account.task(job_id, "cat a/b.txt; stat -c %a a/b.txt", resource_files=files)
    account.completed(job_id)
    assert account.output(job_id) == "reference\n750\n"


@pytest.mark.parametrize(
    ("path", "code"),
    [("404", "BlobNotFound"), ("403?sig=secret", "BlobAccessDenied"), ("500", "BlobDownloadMiscError")],
)
def test_a_resource_file_that_fails_fails_the_task_without_retry(account, web, path, code):
    job_id = account.job(constraints=models.BatchJobConstraints(max_task_retry_count=3))
    files = [models.ResourceFile(http_url=f"{web}/{path}", file_path="x")]
    account.task(job_id, "true", resource_files=files)
    info = account.completed(job_id).execution_info
    assert (info.result, info.exit_code, info.retry_count) == ("failure", None, 0)
    assert info.failure_info.code == code
    assert "secret" not in str(info.failure_info)


@pytest.mark.parametrize(
    "item",
    [
        {"httpUrl": "http://h/x", "filePath": "../x"},
        {"httpUrl": "http://h/x", "filePath": "/x"},
        {"httpUrl": "file:///etc/passwd", "filePath": "x"},
        {"httpUrl": "http://h/x", "storageContainerUrl": "http://h/c", "filePath": "x"},
        {"filePath": "x"},
    ],
)
def test_a_resource_file_must_have_one_web_source_and_stay_in_the_working_directory(account, item):
    document = {"id": "t", "commandLine": "true", "resourceFiles": [item]}
    refusal("InvalidPropertyValue", 400, account.client.create_task, account.job(), document)


def test_container_settings_need_a_pool_with_container_configuration(account):
    settings = models.BatchTaskContainerSettings(image_name="worker:1")
    refusal("InvalidPropertyValue", 400, account.task, account.job(), "true", container_settings=settings)
    machine = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="p", offer="o", sku="s"),
        node_agent_sku_id="batch.node.ubuntu 24.04",
        container_configuration=models.BatchContainerConfiguration(type="dockerCompatible"),
    )
    job_id = account.job(account.pool(virtual_machine_configuration=machine))
    account.task(job_id, "true", container_settings=settings)
    assert account.completed(job_id).execution_info.result == "success"


def test_slots_bound_what_runs_at_a_time_and_tasks_start_in_order(account):
    job_id = account.job(account.pool(slots=2))
    for number in range(4):
        account.task(job_id, "sleep 60", f"t{number}", required_slots=2 if number == 2 else 1)
    account.in_state(job_id, "t1", "running")
    counts = account.client.get_job_task_counts(job_id)
    assert (counts.task_counts.active, counts.task_counts.running) == (2, 2)
    assert (counts.task_slot_counts.active, counts.task_slot_counts.running) == (3, 2)
    account.client.terminate_task(job_id, "t0")
    account.completed(job_id, "t0")
    # t3 would fit beside t1, but t2 came first and needs both slots
    assert {account.client.get_task(job_id, name).state for name in ("t2", "t3")} == {"active"}
    account.client.terminate_task(job_id, "t1")
    account.in_state(job_id, "t2", "running")
    assert account.client.get_task(job_id, "t3").state == "active"
    account.client.begin_delete_job(job_id, **POLL).wait()


def test_a_job_runs_no_more_tasks_at_a_time_than_it_wants(account):
    job_id = account.job(max_parallel_tasks=1)
    account.task(job_id, "sleep 60", "first")
    account.task(job_id, "true", "second")
    account.in_state(job_id, "first", "running")
    assert account.client.get_task(job_id, "second").state == "active"
    account.client.terminate_task(job_id, "first")
    account.completed(job_id, "second")


def test_a_task_too_large_for_any_node_waits_without_holding_up_others(account):
    job_id = account.job(account.pool())
    account.task(job_id, "true", "large", required_slots=2)
    account.task(job_id, "true", "small")
    account.completed(job_id, "small")
    assert account.client.get_task(job_id, "large").state == "active"


def test_dependencies_hold_a_task_back_until_they_succeed(account):
    client = account.client
    refusal(
        "TaskDependenciesNotSpecifiedOnJob",
        409,
        account.task,
        account.job(),
        "true",
        depends_on=models.BatchTaskDependencies(task_ids=["a"]),
    )
    job_id = account.job(uses_task_dependencies=True)
    ranges = [models.BatchTaskIdRange(start=1, end=2)]
    account.task(
        job_id, "true", "after", depends_on=models.BatchTaskDependencies(task_ids=["a"], task_id_ranges=ranges)
    )
    account.task(job_id, "true", "1")
    account.task(job_id, "true", "2")
    account.completed(job_id, "1")
    account.completed(job_id, "2")
    assert client.get_task(job_id, "after").state == "active"
    account.task(job_id, "true", "a")
    after = account.completed(job_id, "after")
    assert after.execution_info.start_time >= client.get_task(job_id, "a").execution_info.end_time


def test_a_failed_dependency_blocks_unless_its_exit_conditions_satisfy(account):
    job_id = account.job(uses_task_dependencies=True)
    satisfy = models.ExitConditions(default=models.ExitOptions(dependency_action="satisfy"))
    account.task(job_id, "exit 1", "blocks")
    account.task(job_id, "exit 1", "satisfies", exit_conditions=satisfy)
    for name in ("blocks", "satisfies"):
        account.task(job_id, "true", f"after-{name}", depends_on=models.BatchTaskDependencies(task_ids=[name]))
    account.completed(job_id, "after-satisfies")
    assert account.completed(job_id, "blocks").execution_info.result == "failure"
    assert account.client.get_task(job_id, "after-blocks").state == "active"


def test_slots_are_never_oversold_or_lost_whatever_happens_to_the_tasks(account, batch_service):
    pool_id = account.pool(slots=3)
    job_id = account.job(pool_id)
    names = [f"t{number}" for number in range(60)]
    account.client.create_tasks(
        job_id,
        [task_options(name, "/bin/sleep 0.03", required_slots=1 + number % 2) for number, name in enumerate(names)],
    )
    over = threading.Event()

    def disturb(seed, act):
        choice = random.Random(seed)
        while not over.is_set():
            act(choice.choice(names))

    def preempt(name):
        url = f"{batch_service.endpoint}/local/preempt?jobId={job_id}&taskId={name}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()
        except urllib.error.HTTPError as error:  # it does not run
            error.close()
        time.sleep(0.005)

    def terminate(name):
        with contextlib.suppress(ResourceExistsError):  # TaskCompleted
            account.client.terminate_task(job_id, name)
        time.sleep(0.05)

    threads = [threading.Thread(target=disturb, args=item) for item in ((1, preempt), (2, preempt), (3, terminate))]
    for thread in threads:
        thread.start()
    try:
        seen = []

        def all_completed():
            counts = account.client.get_job_task_counts(job_id)
            seen.append(counts.task_slot_counts.running)
            return counts.task_counts.completed == len(names)

        wait_until(all_completed, "all tasks completed")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert max(seen) == 3
    (node,) = account.client.list_nodes(pool_id)
    assert node["runningTaskSlotsCount"] == 0
    for task in account.client.list_tasks(job_id):
        info = task.execution_info
        assert (info.retry_count, info.requeue_count) == (0, 0)
        assert info.result == "success" or info.failure_info.code == "TaskEnded"


def test_a_task_starts_within_50_ms(account):
    job_id = account.job()
    waits = []
    for number in range(10):
        account.task(job_id, "true", f"t{number}")
        task = account.completed(job_id, f"t{number}")
        waits.append((task.execution_info.start_time - task.creation_time).total_seconds())
    assert sorted(waits)[5] < 0.05


# --- tasks: collections, lists, updates -------------------------------------------------------------------


def test_hundreds_of_tasks_are_added_in_collections_and_all_run(account):
    job_id = account.job()
    result = account.client.create_tasks(job_id, [task_options(f"t{number}") for number in range(250)])
    assert {item.status.lower() for item in result.result_values} == {"success"}
    assert len(result.result_values) == 250
    counts = wait_until(
        lambda: c if (c := account.client.get_job_task_counts(job_id).task_counts).completed == 250 else None
    )
    assert (counts.succeeded, counts.failed, counts.active, counts.running) == (250, 0, 0, 0)
    again = account.client.create_tasks(job_id, [task_options("T7")])  # TaskExists is success
    assert again.result_values[0].error.code == "TaskExists"


def test_the_sdk_swallows_items_that_the_service_refused(account):
    job_id = account.job()
    result = account.client.create_tasks(job_id, [task_options("good"), task_options("bad id")])
    by_id = {item.task_id: item for item in result.result_values}
    assert by_id["good"].status == "Success"
    assert by_id["bad id"].status == "ClientError"  # capitalised: the SDK's comparison misses it
    assert by_id["bad id"].error.code == "InvalidPropertyValue"
    assert [task.id for task in account.client.list_tasks(job_id)] == ["good"]


def test_refusals_of_a_whole_collection(account):
    client = account.client
    group = models.BatchTaskGroup(task_values=[task_options("t")])
    refusal("JobNotFound", 404, client.create_task_collection, "nothing", group)
    job_id = account.job()
    large = [task_options(f"t{number}", f"/bin/echo {'x' * 20_000}") for number in range(60)]
    refusal("RequestBodyTooLarge", 413, client.create_task_collection, job_id, models.BatchTaskGroup(task_values=large))
    assert len(client.create_tasks(job_id, large).result_values) == 60  # the SDK halves the collection
    many = models.BatchTaskGroup(task_values=[task_options(f"u{number}") for number in range(101)])
    refusal("InvalidRequestBody", 400, client.create_task_collection, job_id, many)
    client.begin_terminate_job(job_id, options={"terminateReason": "x"}, **POLL).wait()
    refusal("JobCompleted", 409, client.create_task_collection, job_id, group)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"id": "t"}, "MissingRequiredProperty"),
        ({"id": "t", "commandLine": "  "}, "InvalidPropertyValue"),
        ({"id": "t", "commandLine": "x", "requiredSlots": 0}, "InvalidPropertyValue"),
        ({"id": "t", "commandLine": "x", "environmentSettings": [{"name": "A=B"}]}, "InvalidPropertyValue"),
        ({"id": "t", "commandLine": "x", "multiInstanceSettings": {"numberOfInstances": 2}}, "UnsupportedProperty"),
    ],
)
def test_a_bad_task_is_refused_with_its_code(account, document, code):
    refusal(code, 400, account.client.create_task, account.job(), document)


def test_a_task_that_exists_cannot_be_added_again(account):
    job_id = account.job()
    account.task(job_id, "true")
    refusal("TaskExists", 409, account.task, job_id, "true", "T")


def test_lists_come_in_pages_and_none_is_lost_or_doubled(account):
    job_id = account.job("nopool")
    account.client.create_tasks(job_id, [task_options(f"t{number:02}") for number in range(25)])
    pages = account.client.list_tasks(job_id, max_results=10, filter="startswith(id,'T')", select=["id"]).by_page()
    sizes_and_ids = [[task.id for task in page] for page in pages]
    assert [len(page) for page in sizes_and_ids] == [10, 10, 5]
    assert sorted(itertools.chain(*sizes_and_ids)) == [f"t{number:02}" for number in range(25)]
    assert len(list(account.client.list_tasks(job_id, max_results=25).by_page())) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state eq 'completed'", {"ok", "bad"}),
        ("state ne 'completed'", {"waits"}),
        ("executionInfo/result eq 'Failure'", {"bad"}),
        ("executionInfo/exitCode gt 0", {"bad"}),
        ("executionInfo/exitCode eq 0 or (id eq 'WAITS' and state eq 'active')", {"ok", "waits"}),
        ("stateTransitionTime gt DateTime'2011-05-08T08:49:37Z'", {"ok", "bad", "waits"}),
        ("creationTime lt DateTime'2011-05-08T08:49:37Z'", set()),
        ("startswith(id,'wa')", {"waits"}),
    ],
)
def test_tasks_are_filtered(three_tasks, text, expected):
    account, job_id = three_tasks
    assert {task.id for task in account.client.list_tasks(job_id, filter=text)} == expected


@pytest.fixture(scope="module")
def three_tasks(batch_service):
    with client_for(batch_service.endpoint) as client:
        account = Account(client)
        job_id = account.job(uses_task_dependencies=True)
        account.task(job_id, "true", "ok")
        account.task(job_id, "exit 2", "bad")
        account.task(job_id, "true", "waits", depends_on=models.BatchTaskDependencies(task_ids=["never"]))
        account.completed(job_id, "ok")
        account.completed(job_id, "bad")
        yield account, job_id


@pytest.mark.parametrize("text", ["State eq 'active'", "state is 'active'", "state eq active", "state eq", "and"])
def test_a_bad_filter_is_400(account, text):
    refusal("InvalidQueryParameterValue", 400, list, account.client.list_tasks(account.job(), filter=text))


def test_select_returns_only_what_was_asked_for(three_tasks):
    account, job_id = three_tasks
    task = next(iter(account.client.list_tasks(job_id, select=["id", "state"])))
    assert set(task) == {"id", "state"}
    assert set(account.client.get_task(job_id, "ok", select=["id"])) == {"id", "odata.metadata"}
    refusal("InvalidQueryParameterValue", 400, list, account.client.list_tasks(job_id, select=["nothing"]))
    refusal("OutOfRangeQueryParameterValue", 400, list, account.client.list_tasks(job_id, max_results=1001))


def test_replace_task_changes_its_constraints_only(account):
    client = account.client
    job_id = account.job("nopool")
    account.task(job_id, "true")
    task = client.get_task(job_id, "t")
    task.constraints = models.BatchTaskConstraints(max_task_retry_count=4)
    client.replace_task(job_id, "t", task)
    changed = client.get_task(job_id, "t")
    assert (changed.constraints.max_task_retry_count, changed.constraints.max_wall_clock_time) == (4, NO_LIMIT)
    assert changed.etag != task.etag
    refusal("TaskNotFound", 404, client.replace_task, job_id, "nothing", task)


def test_delete_task_ends_it_and_its_name_can_be_used_again(account):
    client = account.client
    job_id = account.job()
    account.task(job_id, "echo old; sleep 60")
    wait_until(lambda: _text(account, job_id, "stdout.txt"))
    client.delete_task(job_id, "t")
    refusal("TaskNotFound", 404, client.get_task, job_id, "t")
    account.task(job_id, "echo new")
    account.completed(job_id)
    assert account.output(job_id) == "new\n"


# --- files ------------------------------------------------------------------------------------------------


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
    for name in ("nothing.txt", "../../../../batch.sqlite3", "wd"):
        with pytest.raises(ResourceNotFoundError) as caught:
            client.download_task_file(job_id, "t", name)
        assert caught.value.status_code == 404
        assert caught.value.error.code is None  # a streamed answer: the SDK reads no body
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


# --- the process ------------------------------------------------------------------------------------------


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
