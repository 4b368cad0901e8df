"""A cohort on the local stack: it waits for its samples and is joined when the last is delivered."""

import json
from pathlib import Path

import httpx
import pysam
import pytest

from infra.local.watch import wait_for_plan, watch
from shared.naming import Container
from tests.stack.conftest import Running, rename_sample

pytestmark = pytest.mark.stack
LIMIT_SECONDS = 240
SAMPLES = ("COH-A", "COH-B")


def cohorts(running: Running, path: str = "") -> dict[str, object]:
    answer = httpx.get(f"{running.stack.endpoints.functions}/cohorts{path}", timeout=30)
    answer.raise_for_status()
    found: dict[str, object] = answer.json()
    return found


def test_a_cohort_waits_for_its_samples_and_is_joined_when_the_last_is_delivered(
    running: Running, tmp_path: Path
) -> None:
    url = f"{running.stack.endpoints.functions}/cohorts"
    body = {"cohort": "duo", "samples": list(SAMPLES), "reference": "demo"}
    body["reference"] = json.loads(running.data.order.read_text())["reference"]
    assert [httpx.post(url, json=body, timeout=30).status_code for _ in range(2)] == [201, 200]
    (waiting,) = cohorts(running, "/duo")["cohorts"]
    assert (waiting["state"], waiting["missing"]) == ("waiting", list(SAMPLES))
    for sample in SAMPLES:
        running.lab.drop(sample, rename_sample(running.data, sample, tmp_path / "drop"))
    analyses = [wait_for_plan(running.lab, sample, running.stack.check) for sample in SAMPLES]
    for analysis in analyses:
        watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
    (found,) = wait_until_joined(running)
    status = cohorts(running, f"/{found['id']}")
    assert [one["analysis"] for one in status["analyses"]] == analyses
    out = tmp_path / "results"
    running.lab.fetch_results("duo", found["id"], out)
    marker = json.loads((out / "joined.json").read_text())
    with pysam.VariantFile(str(out / "duo.vcf.gz")) as vcf:
        assert tuple(vcf.header.samples) == SAMPLES
        records = list(vcf)
    assert len(records) == marker["records"] == status["records"] > 10
    assert all(record.info["AC"][0] % 2 == 0 for record in records), "the same reads, whoever's they are"
    assert f"open/{found['id']}" not in {facts.ref.name for facts in running.blobs.list(Container.WORK, "open/")}


def wait_until_joined(running: Running) -> list[dict[str, object]]:
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        running.stack.check()
        found = cohorts(running, "/duo")["cohorts"]
        open_entries = [facts.ref.name for facts in running.blobs.list(Container.WORK, "open/")]
        if found[0]["state"] == "joined" and f"open/{found[0]['id']}" not in open_entries:
            return found
        assert found[0]["state"] != "failed", cohorts(running, f"/{found[0]['id']}")
        time.sleep(0.5)
    pytest.fail(f"not joined: {found}")
