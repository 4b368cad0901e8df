"""GATK for tests: brought once by Maven, or a skip that says why it is not here."""

import os

import pytest

from batch_worker.engine.gatk_tools import Gatk, find_gatk
from infra.local.gatk import ensure_gatk


def gatk_or_skip() -> Gatk:
    """The installed GATK; without Java, Maven or its repository the test is skipped with the reason."""
    answer = ensure_gatk()
    if answer.home is None:
        pytest.skip(f"without GATK: {answer.reason}")
    # A tool's run here is all start: compiling less of it takes a third of the time and changes no result.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    return find_gatk(answer.home)
