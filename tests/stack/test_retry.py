"""An analysis that failed for good is tried again by an operator, when what it missed is back."""

from pathlib import Path

import httpx
import pytest

from infra.local.watch import wait_for_plan, watch
from shared.errors import PermanentError
from tests.stack.conftest import Running, rename_sample

pytestmark = pytest.mark.stack
LIMIT_SECONDS = 120


def test_a_report_that_the_ehr_refused_is_delivered_by_a_retry(running: Running, tmp_path: Path) -> None:
    fault = httpx.URL(running.stack.endpoints.fhir).join("/local/fault")
    assert httpx.post(fault, json={"status": 403, "times": 1}, timeout=30).status_code == httpx.codes.NO_CONTENT
    running.lab.drop("AGAIN1", rename_sample(running.data, "AGAIN1", tmp_path))
    analysis = wait_for_plan(running.lab, "AGAIN1", running.stack.check)
    with pytest.raises(PermanentError, match=r"failed: .*403"):
        watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
    url = f"{running.stack.endpoints.functions}/analyses/{analysis}/retry"
    body = {"by": "ops", "reason": "The permission was given back."}
    assert httpx.post(url, json=body, timeout=30).status_code == httpx.codes.OK
    status = watch(running.lab, analysis, running.stack.check, LIMIT_SECONDS)
    assert (status["stage"], status["retries"], status["failed"]) == ("completed", 1, None)
    assert running.lab.marker("AGAIN1", analysis, "delivered")["resources"]
    assert httpx.post(url, json=body, timeout=30).status_code == httpx.codes.CONFLICT
