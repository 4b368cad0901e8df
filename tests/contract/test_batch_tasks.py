"""How tasks end on the local Batch service, and what they get to run with."""

import contextlib
import http.server
import json
import random
import threading
import time
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from azure.batch import models
from azure.core.exceptions import (
    ResourceExistsError,
)

from tests.contract.batch_fixtures import (
    NO_LIMIT,
    POLL,
    POOL,
    account,
    alive,
    batch_service,
    refusal,
    task_options,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract


# --- tasks: how they end --------------------------------------------------------------------------------------


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


# --- tasks: what they get -------------------------------------------------------------------------------------


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


def test_a_large_task_is_not_starved_by_small_ones_of_a_younger_job(account):
    pool_id = account.pool(slots=2)
    older, younger = account.job(pool_id), account.job(pool_id)
    account.task(older, "sleep 60", "blocker")
    account.in_state(older, "blocker", "running")
    account.task(older, "true", "large", required_slots=2)
    account.task(younger, "true", "small")
    account.client.terminate_task(older, "blocker")
    large, small = account.completed(older, "large"), account.completed(younger, "small")
    assert large.execution_info.end_time <= small.execution_info.start_time


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
