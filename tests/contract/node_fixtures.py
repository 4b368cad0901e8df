"""The local stack's Node services, started once per test session from the command line a person would use."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local.azurite import connection_string
from infra.local.node_runtime import ensure_packages

ROOT = Path(__file__).parents[2]
START_LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Azurite:
    """A running Azurite."""

    blob_port: int
    queue_port: int
    access_log: Path
    process: subprocess.Popen[str]

    @property
    def connection_string(self) -> str:
        return connection_string(self.blob_port, self.queue_port)

    def log_lines(self) -> list[str]:
        return self.access_log.read_text().splitlines()


@dataclass(frozen=True)
class FhirService:
    """A running local FHIR server."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def running(module: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a service as a program; its ready line and process. It is stopped as a terminal would stop it."""
    ensure_packages()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True)
    reader.start()
    try:
        line = lines.get(timeout=START_LIMIT_SECONDS)
        assert " ready at " in line, f"{module} did not start: {line!r}"
        yield line, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=60)
        reader.join(timeout=10)
        process.stdout.close()
    assert status in {0, -signal.SIGKILL}, f"{module} ended with {status}"


@contextmanager
def running_azurite(folder: Path) -> Iterator[Azurite]:
    """Azurite on free ports; state and access log in the folder."""
    log = folder / "access.log"
    arguments = ("--state", str(folder / "state"), "--blob-port", "0", "--queue-port", "0", "--access-log", str(log))
    with running("infra.local.azurite", *arguments) as (line, process):
        blob_port, queue_port = map(int, re.findall(r"127\.0\.0\.1:(\d+)/devstoreaccount1", line))
        yield Azurite(blob_port, queue_port, log, process)


@contextmanager
def running_fhir_server(folder: Path, *options: str) -> Iterator[FhirService]:
    """The FHIR server on a free port with its journal in the folder."""
    with running("infra.local.fhir_server", "--state", str(folder), "--port", "0", *options) as (line, process):
        yield FhirService(line.split()[-1], process)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for the session; tests use containers of their own."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as service:
        yield service


@pytest.fixture(scope="session")
def fhir_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirService]:
    """One FHIR server for the session; tests use ids and identifiers of their own."""
    with running_fhir_server(tmp_path_factory.mktemp("fhir")) as service:
        yield service
