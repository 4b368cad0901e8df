"""Bundles as they were last read and approved; `RENEW_GOLDEN=1` writes them anew, to be reviewed as a diff."""

import os
from pathlib import Path

import pytest

from shared.fhir.bundle import build_bundle
from tests.report_cases import CASES

GOLDEN = Path(__file__).parents[3] / "golden"
PAGE = "<!DOCTYPE html><html lang='en'><title>Page</title></html>"


@pytest.mark.parametrize("name", ["positive", "negative", "synthetic", "held", "rejected"])
def test_the_bundle_is_the_approved_one(name):
    bundle = build_bundle(CASES[name](), PAGE)
    path = GOLDEN / f"fhir_{name}.json"
    if os.environ.get("RENEW_GOLDEN"):
        path.write_bytes(bundle)
    assert bundle.decode() == path.read_text(encoding="utf-8")
