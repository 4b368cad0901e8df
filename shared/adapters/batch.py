"""Tasks on Azure Batch, through azure-batch.

The SDK is imported when the first `AzureBatch` is made, not with this module: it costs a cold start 0.15 s.
"""

import base64
import binascii
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from shared.errors import PermanentError, TransientError
from shared.ports import TaskReport, TaskRequest, TaskState

if TYPE_CHECKING:
    from azure.batch import models
    from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
    from azure.core.exceptions import HttpResponseError

API_VERSION = "2025-06-01"
MAX_TASKS_PER_REQUEST = 100
"""Limit of the service for one collection."""

_OPTIONS: Mapping[str, Any] = {
    # A function has minutes, not the SDK's ten retries with up to two minutes between them.
    "retry_total": 3,
    "retry_backoff_factor": 0.5,
    "connection_timeout": 10,
    "read_timeout": 60,
    "timeout": 120,  # all tries of one request together, s
    "api_version": API_VERSION,
}
_RETRYABLE_STATUS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_RETRYABLE_CODES = frozenset(
    {
        "ActiveJobAndScheduleQuotaReached",  # other jobs will end
        "JobBeingDeleted",  # then there is none, and a new one can be made
        "OperationTimedOut",
        "ServerBusy",
    }
)
_ENDED_CODES = frozenset({"JobCompleted", "JobBeingTerminated", "JobBeingDeleted", "JobNotFound"})
_NO_OUTPUT_STATUS = frozenset(
    {
        HTTPStatus.NOT_FOUND,  # it never ran, or was removed
        HTTPStatus.CONFLICT,  # its node or its files are gone
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,  # a retry began the file anew just now
    }
)
_DENIED_STATUS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """The image that tasks run in, on a pool with a container configuration.

    Attributes:
        name: Image with tag or digest.
        run_options: More options for `docker create`; empty for none.
    """

    name: str
    run_options: str = ""


class AzureBatch:
    """Runs tasks on a pool of Azure Batch; implements the port `TaskRunner`.

    Args:
        endpoint: Account URL, for example ``https://NAME.REGION.batch.azure.com``.
        credential: Named key (local stack) or an identity with the role Azure Batch Job Submitter.
        pool: Id of the pool that runs the tasks.
        environment: Variables of every task of a job, set when the job is made.
        image: Container image of the tasks; None runs them on the node itself.
        retention: How long a node keeps the files of an ended task. Batch's own default of 7 days fills disks.

    Raises:
        PermanentError: The endpoint is no URL, or the key is not base64.
    """

    def __init__(
        self,
        endpoint: str,
        credential: "AzureNamedKeyCredential | TokenCredential",
        pool: str,
        *,
        environment: Mapping[str, str] | None = None,
        image: ContainerImage | None = None,
        retention: timedelta = timedelta(hours=1),
    ) -> None:
        from azure.batch import BatchClient
        from azure.core.credentials import AzureNamedKeyCredential

        if not endpoint.startswith(("https://", "http://")):
            raise PermanentError(
                f"The Batch endpoint {endpoint!r} is no URL. Set it to the account's URL, with https://."
            )
        if isinstance(credential, AzureNamedKeyCredential):
            # The SDK would find out at the first call only, with an error that names nothing.
            try:
                base64.b64decode(credential.named_key.key, validate=True)
            except (binascii.Error, ValueError) as error:
                raise PermanentError(
                    "The Batch key is not base64 text. Copy the account's key whole, with the = at its end."
                ) from error
        self._client: BatchClient = BatchClient(endpoint, credential, **_OPTIONS)
        self._endpoint = endpoint
        self._pool = pool
        self._environment = dict(environment or {})
        self._image = image
        self._retention = retention

    @classmethod
    def connect(
        cls,
        endpoint: str,
        pool: str,
        *,
        account: str = "",
        key: str = "",
        client_id: str | None = None,
        environment: Mapping[str, str] | None = None,
        image: ContainerImage | None = None,
    ) -> Self:
        """Connect by account key when one is given (local stack), else by the managed identity.

        Args:
            endpoint: Account URL.
            pool: Id of the pool.
            account: Account name, only with a key.
            key: Account key, base64.
            client_id: Client id of a user-assigned identity; None for the system's.
            environment: Variables of every task.
            image: Container image of the tasks.

        Raises:
            PermanentError: The endpoint is no URL, or the key is not base64.
        """
        if key:
            from azure.core.credentials import AzureNamedKeyCredential

            named = AzureNamedKeyCredential(account, key)
            return cls(endpoint, named, pool, environment=environment, image=image)
        from azure.identity import DefaultAzureCredential

        identity = DefaultAzureCredential(managed_identity_client_id=client_id)
        return cls(endpoint, identity, pool, environment=environment, image=image)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, job_id: str, tasks: Sequence[TaskRequest]) -> None:
        """Add tasks to a job, which is made when absent; a task that exists is success.

        Raises:
            PermanentError: The job has ended, or Batch refuses a task.
            TransientError: The service did not answer or asks to try again; what was added stays added.
        """
        for start in range(0, len(tasks), MAX_TASKS_PER_REQUEST):
            chunk = [self._task(request) for request in tasks[start : start + MAX_TASKS_PER_REQUEST]]
            self._add(job_id, chunk)

    def reports(self, job_id: str) -> Mapping[str, TaskReport]:
        """Return reports of all tasks of a job by task id; empty when there is no such job.

        Raises:
            PermanentError: The service refuses the question.
            TransientError: The service did not answer or asks to try again.
        """
        from azure.core.exceptions import ResourceNotFoundError

        with self._translated(f"list the tasks of Batch job {job_id}"):
            try:
                found = self._client.list_tasks(job_id, select=["id", "state", "executionInfo"])
                return {task.id: _report(task) for task in found}
            except ResourceNotFoundError:
                return {}

    def output_tail(self, job_id: str, task_id: str, max_bytes: int = 2000) -> str:
        """Return the end of a task's stderr; empty when there is none (any more).

        Raises:
            PermanentError: The service refuses the question.
            TransientError: The service did not answer or asks to try again.
        """
        from azure.core.exceptions import HttpResponseError

        with self._translated(f"read the output of Batch task {job_id}/{task_id}"):
            try:
                properties = self._client.get_task_file_properties(job_id, task_id, "stderr.txt")
                size = int(properties.content_length)
                if not size or not max_bytes:
                    return ""
                part = f"bytes={max(0, size - max_bytes)}-{size - 1}"
                data = b"".join(self._client.download_task_file(job_id, task_id, "stderr.txt", ocp_range=part))
            except HttpResponseError as error:
                # Of a streamed answer the SDK leaves the connection open.
                if (close := getattr(error.response, "close", None)) is not None:
                    close()
                if error.status_code in _NO_OUTPUT_STATUS:
                    return ""
                raise
        return data.decode(errors="replace")

    def finish(self, job_id: str, reason: str) -> None:
        """End a job and its tasks; success when it has ended or was never made.

        Batch ends the tasks after this returns.

        Raises:
            PermanentError: The service refuses.
            TransientError: The service did not answer or asks to try again.
        """
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        # Not begin_terminate_job: it leaves a thread behind that polls until the job has ended.
        request = HttpRequest(
            "POST",
            f"/jobs/{job_id}/terminate",
            params={"api-version": API_VERSION},
            headers={
                "Accept": "application/json",
                "content-type": "application/json; odata=minimalmetadata",
            },
            json={"terminateReason": reason},
        )
        with self._translated(f"end Batch job {job_id}"):
            try:
                self._client.send_request(request)
            except HttpResponseError as error:
                if _code(error) not in _ENDED_CODES:
                    raise

    def _task(self, request: TaskRequest) -> "models.BatchTaskCreateOptions":
        from azure.batch import models

        image = self._image
        return models.BatchTaskCreateOptions(
            id=request.id,
            command_line=shlex.join(request.command),
            required_slots=request.slots,
            constraints=models.BatchTaskConstraints(
                max_task_retry_count=request.max_retries,
                max_wall_clock_time=timedelta(seconds=request.max_seconds),
                retention_time=self._retention,
            ),
            container_settings=None
            if image is None
            else models.BatchTaskContainerSettings(
                image_name=image.name, container_run_options=image.run_options or None
            ),
        )

    def _add(self, job_id: str, tasks: "list[models.BatchTaskCreateOptions]") -> None:
        """Add one collection, making the job on the way when there is none.

        Not the SDK's create_tasks: it drops the errors of single tasks and repeats a request that fails with a
        5xx without end.
        """
        from azure.batch import models
        from azure.core.exceptions import HttpResponseError

        with self._translated(f"add {len(tasks)} tasks to Batch job {job_id}"):
            group = models.BatchTaskGroup(task_values=tasks)
            try:
                result = self._client.create_task_collection(job_id, group)
            except HttpResponseError as error:
                code = _code(error)
                if code == "RequestBodyTooLarge" and len(tasks) > 1:
                    middle = len(tasks) // 2
                    self._add(job_id, tasks[:middle])
                    self._add(job_id, tasks[middle:])
                    return
                if code in {"JobCompleted", "JobBeingTerminated"}:
                    raise PermanentError(
                        f"Batch job {job_id} has ended ({code}), so no task can be added. To run this analysis "
                        f"again, delete the job first."
                    ) from error
                if code != "JobNotFound":
                    raise
                self._create_job(job_id)
                result = self._client.create_task_collection(job_id, group)
            _check_each(job_id, result.result_values or ())

    def _create_job(self, job_id: str) -> None:
        from azure.batch import models
        from azure.core.exceptions import ResourceExistsError

        options = models.BatchJobCreateOptions(
            id=job_id,
            pool_info=models.BatchPoolInfo(pool_id=self._pool),
            common_environment_settings=[
                models.EnvironmentSetting(name=name, value=value) for name, value in self._environment.items()
            ],
            # A job without tasks counts as complete, so the job must not end by itself between two chunks.
            all_tasks_complete_mode=models.BatchAllTasksCompleteMode.NO_ACTION,
        )
        try:
            self._client.create_job(options)
        except ResourceExistsError as error:
            if _code(error) != "JobExists":
                raise

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Turn what the SDK raises in the block into PermanentError or TransientError."""
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            yield
        except HttpResponseError as error:
            raise self._failure(what, error) from error
        except AzureError as error:
            raise TransientError(
                f"Could not {what}: {self._endpoint} was not reached ({type(error).__name__})."
            ) from error

    def _failure(self, what: str, error: "HttpResponseError") -> PermanentError | TransientError:
        status, code = error.status_code, _code(error)
        if status in _DENIED_STATUS:
            return PermanentError(
                f"Could not {what}: {self._endpoint} denied access ({status} {code}). The identity needs a role "
                f"that submits Batch jobs on the account, or the account name and key are wrong."
            )
        if (
            status is None
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or status in _RETRYABLE_STATUS
            or code in _RETRYABLE_CODES
        ):
            return TransientError(f"Could not {what}: Batch answered {status} {code}. It is tried again.")
        return PermanentError(f"Could not {what}: Batch refused with {status} {code}{_details(error)}.")


def _code(error: "HttpResponseError") -> str:
    """Return Batch's error code; a streamed answer has none."""
    return str(getattr(error.error, "code", None) or error.reason or "")


def _details(error: "HttpResponseError") -> str:
    details = getattr(error.error, "details", None) or ()
    return "".join(f"; {detail.code}: {detail.message}" for detail in details)


def _check_each(job_id: str, results: "Sequence[models.BatchTaskCreateResult]") -> None:
    """Raise for the first task that was not added; the others are.

    The service says "ClientError", the SDK's enum "clienterror": compare without case.
    """
    refused: list[str] = []
    busy: list[str] = []
    for result in results:
        status = str(getattr(result.status, "value", result.status)).lower()
        code = str(result.error.code) if result.error is not None else ""
        if status == "success" or code == "TaskExists":
            continue
        if status == "clienterror" and code not in _RETRYABLE_CODES:
            values = (result.error.error_values if result.error is not None else None) or ()
            detail = "".join(f"; {value.key}: {value.value}" for value in values)
            refused.append(f"{result.task_id}: {code}{detail}")
        else:
            busy.append(f"{result.task_id}: {status} {code}")
    if refused:
        raise PermanentError(f"Batch job {job_id} refused {len(refused)} tasks, the first is {refused[0]}.")
    if busy:
        raise TransientError(
            f"Batch job {job_id} did not take {len(busy)} tasks, the first is {busy[0]}. It is tried again."
        )


def _report(task: "models.BatchTask") -> TaskReport:
    info = task.execution_info
    retries = info.retry_count if info is not None else 0
    state = str(getattr(task.state, "value", task.state))
    if state == "active":
        return TaskReport(task.id, TaskState.WAITING, retries=retries)
    if state != "completed" or info is None:
        return TaskReport(task.id, TaskState.RUNNING, retries=retries)
    result = str(getattr(info.result, "value", info.result))
    if result == "success":
        return TaskReport(task.id, TaskState.SUCCEEDED, exit_code=info.exit_code, retries=retries)
    failure = info.failure_info
    message = "" if failure is None else f"{failure.code}: {failure.message}"
    return TaskReport(task.id, TaskState.FAILED, exit_code=info.exit_code, message=message, retries=retries)
