"""The local Batch service for contract tests: in this process where that is enough, as a process where it is not."""

import base64
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError

from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.service import BatchService

ROOT = Path(__file__).parents[2]
ACCOUNT = "localbatch"
KEY = base64.b64encode(b"a key for tests, known to everyone").decode()
POOL = "workers"
WAIT_SECONDS = 15.0
NO_LIMIT = timedelta(days=10675199, hours=2, minutes=48, seconds=5, microseconds=477581)
POLL = {"polling_interval": 0.05}

_numbers = itertools.count(1)


def client_for(endpoint: str, account: str = ACCOUNT, key: str = KEY) -> BatchClient:
    return BatchClient(endpoint, AzureNamedKeyCredential(account, key), retry_total=0)


@contextmanager
def running_service(state: Path, *, nodes: int = 1, slots: int = 4) -> Iterator[BatchService]:
    """A service in this process, on a free port, with one pool."""
    service = BatchService(SharedKey(ACCOUNT, KEY), state, nodes=nodes, slots=slots, pool=POOL)
    service.start()
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def service_process(state: Path, *, slots: int = 2) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service as a person starts it; yields the process and its endpoint."""
    argv = [sys.executable, "-m", "infra.local.batch_service", "--port", "0", "--account", ACCOUNT, "--key", KEY]
    argv += ["--state", str(state), "--slots", str(slots), "--pool", POOL]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("batch service ready at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(WAIT_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Return the first true value of a condition; fail when none comes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {WAIT_SECONDS:.0f} s"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


class Account:
    """Shorthand around the unmodified SDK client."""

    def __init__(self, client: BatchClient) -> None:
        self.client = client

    def job(self, pool: str = POOL, **options: Any) -> str:
        """Create a job with a fresh id."""
        job_id = f"job-{next(_numbers)}"
        self.client.create_job(
            models.BatchJobCreateOptions(id=job_id, pool_info=models.BatchPoolInfo(pool_id=pool), **options)
        )
        return job_id

    def pool(self, pool_id: str | None = None, *, slots: int = 1, nodes: int = 1, **options: Any) -> str:
        """Create a pool with a fresh id."""
        pool_id = pool_id or f"pool-{next(_numbers)}"
        self.client.create_pool(
            models.BatchPoolCreateOptions(
                id=pool_id,
                vm_size="standard_d2s_v5",
                target_dedicated_nodes=nodes,
                task_slots_per_node=slots,
                **options,
            )
        )
        return pool_id

    def task(self, job_id: str, script: str, task_id: str = "t", **options: Any) -> str:
        """Add a task that runs a shell script."""
        command = f"/bin/sh -c {shlex.quote(script)}"
        self.client.create_task(job_id, models.BatchTaskCreateOptions(id=task_id, command_line=command, **options))
        return task_id

    def in_state(self, job_id: str, task_id: str, state: str) -> models.BatchTask:
        """Wait for a task's state."""
        return wait_until(
            lambda: task if (task := self.client.get_task(job_id, task_id)).state == state else None,
            f"task {task_id} {state}",
        )

    def completed(self, job_id: str, task_id: str = "t") -> models.BatchTask:
        """Wait for a task's end."""
        return self.in_state(job_id, task_id, "completed")

    def job_in_state(self, job_id: str, state: str) -> models.BatchJob:
        """Wait for a job's state."""
        return wait_until(
            lambda: job if (job := self.client.get_job(job_id)).state == state else None, f"job {job_id} {state}"
        )

    def output(self, job_id: str, task_id: str = "t", name: str = "stdout.txt") -> str:
        """Return a file of a task."""
        return b"".join(self.client.download_task_file(job_id, task_id, name)).decode()


def refusal(code, status, call, *args, **kwargs):
    """Call, and return the error that must come."""
    with pytest.raises(HttpResponseError) as caught:
        call(*args, **kwargs)
    assert caught.value.error is not None
    assert (caught.value.error.code, caught.value.status_code) == (code, status)
    return caught.value


def task_options(task_id, command="/bin/true", **options):
    """Return a task with a command line."""
    return models.BatchTaskCreateOptions(id=task_id, command_line=command, **options)


def text_or_nothing(account, job_id, name, task_id="t"):
    """Return a file of a task that may not be there yet."""
    try:
        return account.output(job_id, task_id, name).strip()
    except HttpResponseError as error:
        error.response.close()  # a streamed answer stays open otherwise
        return ""


@pytest.fixture(scope="module")
def batch_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchService]:
    """A service with one node of four slots."""
    with running_service(tmp_path_factory.mktemp("batch")) as service:
        yield service


@pytest.fixture
def account(batch_service: BatchService) -> Iterator[Account]:
    """The account, through the SDK."""
    with client_for(batch_service.endpoint) as client:
        yield Account(client)
