"""A sample that misses its quality limits is held; an operator releases or rejects it over the API."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.watch import wait_for_plan, watch
from shared.adapters.delta import DeltaLake
from shared.errors import PermanentError
from tests.stack.conftest import Running, rename_sample

pytestmark = pytest.mark.stack
LIMIT_SECONDS = 120
TABLES = ("samples", "variants", "findings")


@pytest.fixture(scope="module")
def held(running: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two samples that cannot reach their limit, dropped together and held; analysis by sample."""
    for sample in ("HELD1", "HELD2"):
        files = rename_sample(running.data, sample, tmp_path_factory.mktemp("drop"))
        order = json.loads(files[-1].read_text())
        order["qc"] = {"mean_depth": {"min": 1000}}
        files[-1].write_text(json.dumps(order))
        running.lab.drop(sample, files)
    analyses = {}
    for sample in ("HELD1", "HELD2"):
        analyses[sample] = wait_for_plan(running.lab, sample, running.stack.check)
        with pytest.raises(PermanentError, match=r"is held: The mean depth .* at least 1,000 is required"):
            watch(running.lab, analyses[sample], running.stack.check, LIMIT_SECONDS)
    return analyses


def decide(running: Running, analysis: str, what: str, **body: str) -> httpx.Response:
    answer = {"by": "lab-director", "reason": "The gene in question is covered deeply enough.", **body}
    return httpx.post(f"{running.stack.endpoints.functions}/analyses/{analysis}/{what}", json=answer, timeout=30)


def report_of(running: Running, sample: str, analysis: str, stage: str) -> dict[str, Any]:
    """The report of an analysis as the FHIR server holds it."""
    (target,) = [
        one for one in running.lab.marker(sample, analysis, stage)["resources"] if one.startswith("DiagnosticReport/")
    ]
    answer = httpx.get(f"{running.stack.endpoints.fhir}/{target}", timeout=30)
    answer.raise_for_status()
    report: dict[str, Any] = answer.json()
    return report


def observations_of(running: Running, analysis: str) -> int:
    """Observations of an analysis that the FHIR server holds."""
    text = httpx.get(f"{running.stack.endpoints.fhir}/Observation?_count=1000", timeout=30).text
    return text.count(f'"{analysis}/variant/')


def rows_of(running: Running, analysis: str) -> dict[str, int]:
    lake = DeltaLake.connect(connection_string=running.stack.endpoints.connection_string)
    return {table: len(lake.rows(table, analysis)) for table in (*TABLES, "qc")}


def test_a_held_sample_shows_no_result_until_it_is_released(
    running: Running, held: dict[str, str], tmp_path: Path
) -> None:
    analysis = held["HELD1"]
    early = report_of(running, "HELD1", analysis, "held")
    assert early["status"] == "registered"
    assert "result" not in early
    assert "conclusionCode" not in early
    assert "The mean depth (reads per base) is" in early["conclusion"]
    assert observations_of(running, analysis) == 0
    rows = rows_of(running, analysis)
    assert rows.pop("qc") > 0
    assert rows == dict.fromkeys(TABLES, 0)
    status = running.lab.analysis(analysis)
    assert status is not None
    assert (status["stage"], status["decision"]) == ("held", None)
    running.lab.fetch_results("HELD1", analysis, tmp_path / "held")
    assert not (tmp_path / "held" / "HELD1.report.html").exists()
    figures = json.loads((tmp_path / "held" / "HELD1.qc.json").read_text())
    assert (figures["verdict"], figures["limits"]["mean_depth"]) == ("missed", {"min": 1000, "max": None})
    assert "no result is released" in (tmp_path / "held" / "HELD1.held.report.html").read_text()

    assert decide(running, analysis, "release", reason="").status_code == httpx.codes.BAD_REQUEST
    assert decide(running, "0" * 24, "release").status_code == httpx.codes.NOT_FOUND
    assert decide(running, analysis, "release").status_code == httpx.codes.OK
    watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
    assert decide(running, analysis, "release").status_code == httpx.codes.OK
    assert decide(running, analysis, "reject").status_code == httpx.codes.CONFLICT

    final = report_of(running, "HELD1", analysis, "delivered")
    assert (final["id"], final["status"]) == (early["id"], "final")
    assert final["result"]
    assert "Released by lab-director" in final["conclusion"]
    assert "The gene in question is covered deeply enough." in final["conclusion"]
    assert observations_of(running, analysis) == 1
    assert all(rows_of(running, analysis).values())
    lake = DeltaLake.connect(connection_string=running.stack.endpoints.connection_string)
    assert [row["limits_missed"] for row in lake.rows("samples", analysis)] == ["mean_depth"]
    running.lab.fetch_results("HELD1", analysis, tmp_path / "final")
    assert "Quality limits missed" in (tmp_path / "final" / "HELD1.report.html").read_text()


def test_a_rejected_sample_ends_with_a_cancelled_report(running: Running, held: dict[str, str]) -> None:
    analysis = held["HELD2"]
    early = report_of(running, "HELD2", analysis, "held")
    assert decide(running, analysis, "reject", reason="Too shallow, sequence again").status_code == httpx.codes.OK
    for _ in range(LIMIT_SECONDS * 5):
        running.stack.check()
        status = running.lab.analysis(analysis)
        assert status is not None
        if status["stage"] == "rejected":
            break
        time.sleep(0.2)
    assert status["stage"] == "rejected"
    assert status["decision"]["reason"] == "Too shallow, sequence again"
    report = report_of(running, "HELD2", analysis, "rejected")
    assert (report["id"], report["status"]) == (early["id"], "cancelled")
    assert "Reason: Too shallow, sequence again." in report["conclusion"]
    assert "result" not in report
    assert observations_of(running, analysis) == 0
    rows = rows_of(running, analysis)
    assert rows.pop("qc") > 0
    assert rows == dict.fromkeys(TABLES, 0)
    with pytest.raises(PermanentError, match="was rejected: Too shallow"):
        watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
