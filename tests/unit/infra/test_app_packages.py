"""What is deployed where: host.json, requirements, the worker image, the function package and azure.yaml."""

import importlib.metadata
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.local.gatk import POM
from shared.settings import AppSettings, WorkerSettings
from tests.unit.infra.bicep_reader import read_bicep
from tests.unit.infra.import_closure import third_party_imports

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"
HOST = json.loads((ROOT / "host.json").read_text())
MAIN = read_bicep(INFRA / "main.bicep")
FUNCTIONS = read_bicep(INFRA / "modules" / "functions.bicep")


def test_a_function_ends_by_itself_before_the_host_ends_it() -> None:
    hours, minutes, seconds = map(int, HOST["functionTimeout"].split(":"))
    budget = AppSettings.model_fields["function_seconds"].default
    assert budget < hours * 3600 + minutes * 60 + seconds


def test_a_failed_message_waits_before_it_is_tried_again_and_is_tried_a_bounded_number_of_times() -> None:
    queues = HOST["extensions"]["queues"]
    assert queues["visibilityTimeout"] == "00:00:30"
    assert queues["maxDequeueCount"] == 5
    assert queues["messageEncoding"] == "base64"  # what Event Grid writes
    assert 1 <= queues["batchSize"] <= 32
    assert queues["newBatchThreshold"] <= queues["batchSize"]


def test_the_extension_bundle_brings_the_queue_trigger_and_the_sdk_stays_quiet() -> None:
    assert HOST["version"] == "2.0"
    assert HOST["extensionBundle"] == {
        "id": "Microsoft.Azure.Functions.ExtensionBundle",
        "version": "[4.*, 5.0.0)",
    }
    levels = HOST["logging"]["logLevel"]
    assert levels["default"] == levels["Function"] == "Information"
    assert levels["Azure"] == levels["Azure.Core"] == "Warning"


# --- requirements ---


def requirements(path: Path) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


APP_REQUIREMENTS = requirements(ROOT / "requirements.txt")
WORKER_REQUIREMENTS = requirements(ROOT / "batch_worker" / "requirements.txt")


def test_packages_of_both_apps_have_the_same_range() -> None:
    for name in APP_REQUIREMENTS.keys() & WORKER_REQUIREMENTS.keys():
        assert list(map(str, APP_REQUIREMENTS[name])) == list(map(str, WORKER_REQUIREMENTS[name]))


@pytest.mark.parametrize("name", sorted(APP_REQUIREMENTS.keys() | WORKER_REQUIREMENTS.keys()))
def test_the_version_tested_here_lies_in_the_range_and_the_range_has_an_end(name: str) -> None:
    ranges = [*APP_REQUIREMENTS.get(name, []), *WORKER_REQUIREMENTS.get(name, [])]
    valid = [r for r in ranges if r.marker is None or r.marker.evaluate()]
    assert valid
    for requirement in valid:
        assert requirement.specifier.contains(importlib.metadata.version(name))
        assert any(part.operator == "<" for part in requirement.specifier)


def test_the_function_app_declares_every_package_it_imports() -> None:
    assert third_party_imports(ROOT, ["function_app"], follow=["shared"]) <= set(APP_REQUIREMENTS)


def test_the_function_app_declares_every_package_that_shared_imports() -> None:
    assert third_party_imports(ROOT, ["shared"], follow=[]) <= set(APP_REQUIREMENTS)


def test_the_worker_image_installs_every_package_that_the_worker_and_its_part_of_shared_import() -> None:
    assert third_party_imports(ROOT, ["batch_worker"], follow=["shared"]) <= set(WORKER_REQUIREMENTS)


# --- the image and the package ---

DOCKERFILE = (ROOT / "batch_worker" / "Dockerfile").read_text()


STAGES = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)


def test_the_image_holds_exactly_the_two_packages_that_the_worker_needs() -> None:
    copied = re.findall(r"^COPY (\S+) (\S+)$", STAGES[-1], flags=re.MULTILINE)
    assert len(copied) == len(re.findall(r"^(?:COPY(?! --from)|ADD)\b", STAGES[-1], flags=re.MULTILINE))
    assert copied == [
        ("batch_worker/requirements.txt", "/tmp/requirements.txt"),  # noqa: S108 - inside the image
        ("shared/", "/app/shared/"),
        ("batch_worker/", "/app/batch_worker/"),
    ]
    assert re.search(r"^ENV PYTHONPATH=/app\b", DOCKERFILE, flags=re.MULTILINE)


def test_the_image_has_gatk_where_the_worker_looks_and_the_jars_are_those_of_the_tests() -> None:
    home = str(WorkerSettings.model_fields["gatk_home"].default)
    assert re.search(rf"^COPY --from=gatk {home} {home}$", STAGES[-1], flags=re.MULTILINE)
    (brings,) = (stage for stage in STAGES if " AS gatk" in stage)
    assert f"COPY {POM.relative_to(ROOT)} " in brings
    assert f"dependency:copy-dependencies -DoutputDirectory={home}" in brings
    assert "ENV PATH=/opt/java/openjdk/bin:$PATH" in STAGES[-1]


def test_the_build_context_is_no_larger_than_what_the_image_copies() -> None:
    lines = [x for x in (ROOT / ".dockerignore").read_text().splitlines() if x and not x.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {"shared", "batch_worker"}


def test_the_image_runs_as_nobody_in_particular_and_leaves_the_command_to_batch() -> None:
    user = re.findall(r"^USER (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    assert user
    assert user[-1] not in {"root", "0"}
    assert not re.search(r"^(ENTRYPOINT|CMD)\b", DOCKERFILE, flags=re.MULTILINE)
    assert "--only-binary=:all:" in DOCKERFILE


def test_functions_and_worker_run_the_same_python() -> None:
    image = re.search(r"^FROM python:(\d+\.\d+)-slim", DOCKERFILE, flags=re.MULTILINE)
    assert image
    runtime = FUNCTIONS.resource("app").body["properties"]["functionAppConfig"]["runtime"]
    assert runtime == {"name": "python", "version": image[1]}


def test_the_function_package_leaves_out_what_the_app_does_not_import_and_nothing_else() -> None:
    ignored = {x for x in (ROOT / ".funcignore").read_text().splitlines() if x and not x.startswith("#")}
    assert ignored.isdisjoint({"function_app", "function_app.py", "shared", "host.json", "requirements.txt", ".*", "*"})
    assert {"tests", "infra", "docs", "batch_worker", "local.settings.json"} <= ignored


def test_the_deployment_builds_the_image_that_the_pool_and_the_app_name() -> None:
    text = (ROOT / "azure.yaml").read_text()
    read = set(re.findall(r"\$(?:env:)?([A-Z][A-Z_]+)\b", text))
    written = {"WORKER_IMAGE_TAG"}  # by the hook before
    assert read <= MAIN.outputs | written
    assert "readEnvironmentVariable('WORKER_IMAGE_TAG'" in (INFRA / "main.bicepparam").read_text()
    built = set(re.findall(r'--image "([\w-]+):\$', text))
    assert built == set(re.findall(r"/([\w-]+):\$\{workerImageTag\}", (INFRA / "main.bicep").read_text()))
    assert "--file batch_worker/Dockerfile ." in text


def test_azd_finds_the_function_app_by_its_service_tag() -> None:
    tag = re.search(r"'azd-service-name': '(\w+)'", MAIN.module("functions").text)
    assert tag
    assert re.search(rf"^services:\n  {tag[1]}:\n", (ROOT / "azure.yaml").read_text(), flags=re.MULTILINE)
