"""Collections, lists and updates of tasks on the local Batch service."""

import itertools

import pytest
from azure.batch import models

from tests.contract.batch_fixtures import (
    NO_LIMIT,
    POLL,
    Account,
    account,
    batch_service,
    client_for,
    refusal,
    task_options,
    text_or_nothing,
    wait_until,
)

__all__ = ["account", "batch_service"]
pytestmark = pytest.mark.contract


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
    wait_until(lambda: text_or_nothing(account, job_id, "stdout.txt"))
    client.delete_task(job_id, "t")
    refusal("TaskNotFound", 404, client.get_task, job_id, "t")
    account.task(job_id, "echo new")
    account.completed(job_id)
    assert account.output(job_id) == "new\n"
