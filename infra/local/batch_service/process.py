"""One run of a task: its directory, its resource files, its process group."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.local.batch_service.download import DownloadError, download
from infra.local.batch_service.model import Node, Task
from infra.local.batch_service.outcome import Cause, Outcome, failure_info

PASSED_THROUGH = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
    "JAVA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""What real programs need of the machine; nothing else of the service's environment reaches a task."""


_DEATH_SECONDS = 5.0  # longer only for a process stuck in the kernel; waiting for it would hold its slot for ever


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a task finds when it starts.

    Attributes:
        node_root: The node's directory.
        task_root: The task's directory below it: stdout.txt, stderr.txt and `wd`.
        environment: All variables of the process.
    """

    node_root: Path
    task_root: Path
    environment: Mapping[str, str]

    @property
    def working_directory(self) -> Path:
        """Where the command runs."""
        return self.task_root / "wd"


def environment(
    machine: Mapping[str, str],
    batch: Mapping[str, str],
    settings: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    """Return a task's variables: the machine's few, then the settings in order, then Batch's own.

    Args:
        machine: The service's environment, of which only `PASSED_THROUGH` is taken.
        batch: The AZ_BATCH_* variables, which nobody can override.
        settings: `{name, value}` of the job and then of the task.
    """
    result = {name: machine[name] for name in PASSED_THROUGH if name in machine}
    result.update({str(item["name"]): str(item.get("value") or "") for item in settings})
    result.update(batch)
    return result


def process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone or this is no Linux."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name, in parentheses, may hold spaces: count from behind it. Field 22 is the start time.
    return int(text.rpartition(")")[2].split()[19])


def kill_group(pid: int) -> None:
    """Kill a process group at once; one that is gone is success."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # PermissionError: macOS says so for a group of which only a zombie is left
        return


def _has_living_member(group: int) -> bool:
    """Say whether a process group has a member that is more than a zombie."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    stats = list(Path("/proc").glob("[0-9]*/stat"))
    for path in stats:
        try:
            state, _parent, its_group = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # it went meanwhile
            continue
        if int(its_group) == group and state not in "ZX":
            return True
    return not stats  # no Linux: only a group that is gone is surely dead


def _wait_for_group(group: int) -> None:
    """Return when a killed group has died; a kill takes effect a moment after it is sent."""
    deadline = time.monotonic() + _DEATH_SECONDS
    while _has_living_member(group) and time.monotonic() < deadline:
        time.sleep(0.002)


def kill_leftover(process: Sequence[int]) -> bool:
    """Kill the group of a task that outlived a crashed service; say whether there was one.

    Args:
        process: Process id and start time; a recycled process id has another start time and is left alone.
    """
    pid, started = process
    if process_start(pid) != started:
        return False
    kill_group(pid)
    _wait_for_group(pid)
    return True


class Run:
    """One run of one task on one node, ended by itself or by `end`.

    Args:
        job_key: Key of the task's job.
        task: The task; only its document is read here.
        node: Where it runs.
        surroundings: Directories and variables.
        deadline: When `maxWallClockTime` is over, None for never.
    """

    def __init__(
        self, job_key: str, task: Task, node: Node, surroundings: Surroundings, deadline: datetime | None
    ) -> None:
        self.job_key = job_key
        self.task = task
        self.node = node
        self.slots = task.slots
        self.surroundings = surroundings
        self.deadline = deadline
        self._lock = threading.Lock()
        self._cause: Cause | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Job key and task key."""
        return self.job_key, self.task.key

    def end(self, cause: Cause) -> None:
        """End the run with its whole process group, at once; the first cause given is the one that counts."""
        with self._lock:
            if self._cause is None:
                self._cause = cause
            if self._process is not None:
                kill_group(self._process.pid)

    def execute(self, note_process: Callable[[int], None]) -> Outcome:
        """Run the task to its end.

        Args:
            note_process: Called with the process id once the process exists.
        """
        try:
            self._prepare()
        except DownloadError as error:
            return self._outcome(Outcome(Cause.PREPROCESSING, failure=error.failure))
        except OSError as error:
            failure = failure_info("ResourceDirectoryCreateFailed", f"The task directory failed: {error}")
            return self._outcome(Outcome(Cause.PREPROCESSING, failure=failure))
        try:
            process = self._launch()
        except FileNotFoundError:
            message = "The specified command program is not found"
            failure = failure_info("CommandProgramNotFound", message, Message=message)
            return self._outcome(Outcome(Cause.NOT_STARTED, failure=failure))
        except (OSError, ValueError) as error:
            failure = failure_info("CommandLaunchFailed", f"The command could not be launched: {error}")
            return self._outcome(Outcome(Cause.NOT_STARTED, failure=failure))
        if process is None:
            return self._outcome(Outcome(Cause.TERMINATED))
        note_process(process.pid)
        code = self._wait(process)
        return self._outcome(Outcome(Cause.EXITED, exit_code=code if code >= 0 else 128 - code))

    def _prepare(self) -> None:
        # A run never sees files of an earlier one: after a preemption the node's disk is gone, and a task
        # that counted on leftovers would only fail in the cloud.
        shutil.rmtree(self.surroundings.task_root, ignore_errors=True)
        working_directory = self.surroundings.working_directory
        working_directory.mkdir(parents=True)
        (self.surroundings.node_root / "shared").mkdir(exist_ok=True)
        for item in self.task.spec.get("resourceFiles") or ():
            target = working_directory / item["filePath"]
            download(item["httpUrl"], target, item.get("fileMode"), lambda: self._cause is not None)

    def _launch(self) -> subprocess.Popen[bytes] | None:
        argv = shlex.split(self.task.spec["commandLine"])
        root = self.surroundings.task_root
        with (root / "stdout.txt").open("wb") as out, (root / "stderr.txt").open("wb") as err, self._lock:
            if self._cause is not None:
                return None
            self._process = subprocess.Popen(
                argv,
                cwd=self.surroundings.working_directory,
                env=dict(self.surroundings.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # a group of its own, so that children end with it
            )
            return self._process

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        if hasattr(os, "waitid"):
            # Wait without reaping: the zombie keeps its process group id from being given to a stranger
            # until the children it left behind are killed.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()
        with self._lock:
            kill_group(process.pid)
            self._process = None
            code = process.wait()
        _wait_for_group(process.pid)  # "completed" promises that nothing writes any more
        return code

    def _outcome(self, outcome: Outcome) -> Outcome:
        with self._lock:
            if self._cause is None:
                self._cause = outcome.cause  # too late for end()
                return outcome
            return Outcome(self._cause, exit_code=outcome.exit_code)
