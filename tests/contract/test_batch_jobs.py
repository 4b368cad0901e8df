"""Pools and jobs of the local Batch service, through the unmodified azure-batch SDK."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
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
    text_or_nothing,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract


# --- pools ----------------------------------------------------------------------------------------------------


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


# --- jobs -----------------------------------------------------------------------------------------------------


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
    pid = int(wait_until(lambda: text_or_nothing(account, job_id, "wd/pid")))
    client.begin_delete_job(job_id, **POLL).wait()
    refusal("JobNotFound", 404, client.get_job, job_id)
    refusal("JobNotFound", 404, client.get_task, job_id, "t")
    refusal("JobNotFound", 404, client.begin_delete_job, job_id)
    assert not alive(pid)


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
