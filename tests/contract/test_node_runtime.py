"""Node, its packages and its services: installed once, started loudly, stopped for good."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import azurite, node_runtime
from infra.local.node_runtime import NODE_FOLDER, ensure_packages, node_command
from shared.errors import PermanentError
from tests.contract.node_fixtures import ROOT

pytestmark = pytest.mark.contract


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package without dependencies, so that installing it needs no network."""
    package = {"name": "empty", "version": "1.0.0"}
    lock = {**package, "lockfileVersion": 3, "requires": True, "packages": {"": package}}
    (tmp_path / "package.json").write_text(json.dumps(package))
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    return tmp_path


def test_node_is_the_one_of_the_python_environment_and_new_enough():
    done = subprocess.run([*node_command("--version")], capture_output=True, text=True, check=True)
    major, minor = map(int, done.stdout.strip().removeprefix("v").split(".")[:2])
    assert (major, minor) >= (22, 18)


def test_packages_are_installed_once_and_again_when_the_lock_file_changes(folder, monkeypatch):
    installs = []
    monkeypatch.setattr(node_runtime, "_install", installs.append)
    assert ensure_packages(folder) == folder / "node_modules"
    ensure_packages(folder)
    assert installs == [folder]
    with (folder / "package-lock.json").open("a") as lock:
        lock.write("\n")
    ensure_packages(folder)
    assert installs == [folder, folder]


def test_of_two_processes_that_install_at_once_one_does_and_both_succeed(folder):
    program = "import sys; from pathlib import Path; from infra.local.node_runtime import ensure_packages as e; "
    command = [sys.executable, "-c", f"{program} print(e(Path(sys.argv[1])))", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [out.strip() for out, _ in results] == [str(folder / "node_modules")] * 2
    assert sum("installing" in err for _, err in results) == 1


def test_a_failed_install_says_why_and_is_repeated(folder):
    package = json.loads((folder / "package.json").read_text())
    (folder / "package.json").write_text(json.dumps({**package, "dependencies": {"left-behind": "1.0.0"}}))
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"(?s)npm ci in .* failed.*left-behind"):
            ensure_packages(folder)


def test_a_missing_lock_file_is_named(tmp_path):
    with pytest.raises(PermanentError, match=r"package-lock\.json is missing"):
        ensure_packages(tmp_path)


def test_the_lock_file_names_no_registry_and_pins_exact_versions():
    lock = json.loads((NODE_FOLDER / "package-lock.json").read_text())
    packages = [content for name, content in lock["packages"].items() if name]
    assert not any("resolved" in content for content in packages)
    assert all(content["integrity"].startswith("sha512-") for content in packages)
    pinned = json.loads((NODE_FOLDER / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == pinned
    assert all(version[0].isdigit() for version in pinned.values())


def test_a_service_whose_port_is_taken_does_not_start_and_says_so(tmp_path, capfd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service = azurite.service(tmp_path, blob_port=taken.getsockname()[1], queue_port=0)
        with pytest.raises(PermanentError, match="azurite did not start"):
            service.start()
    assert "EADDRINUSE" in capfd.readouterr().err


def test_control_c_ends_launcher_and_service_cleanly(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "infra.local.azurite",
            "--state",
            str(tmp_path),
            "--blob-port",
            "0",
            "--queue-port",
            "0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    # A terminal sends it to the launcher and to Node alike.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_service_that_dies_makes_its_launcher_fail(tmp_path):
    service = azurite.service(tmp_path, blob_port=0, queue_port=0).start()
    os.kill(service.process_id, signal.SIGKILL)
    assert service.wait() == 1


def test_a_service_can_be_used_in_process_and_is_gone_afterwards(tmp_path):
    with azurite.service(tmp_path, blob_port=0, queue_port=0) as service:
        process_id = service.process_id
        assert set(service.endpoints) == {"blob", "queue"}
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
