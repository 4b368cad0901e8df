"""`./run order-schema`: the JSON schema of an order, from the code that reads it."""

import argparse
import json
from pathlib import Path

from pydantic.json_schema import models_json_schema

from infra.local.part import ROOT
from shared.domain.order import Order
from shared.domain.order_template import OrderTemplate

TARGET = ROOT / "docs" / "order.schema.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no options."""
    del parser


def schema_text() -> str:
    """The schema's text as it lies in docs: an order of one sample, or the template of a run's orders."""
    refs, definitions = models_json_schema([(model, "validation") for model in (Order, OrderTemplate)])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "order.json",
        "anyOf": [refs[model, "validation"] for model in (Order, OrderTemplate)],
        **definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def run(args: argparse.Namespace) -> int:
    """Write it."""
    del args
    TARGET.write_text(schema_text(), encoding="utf-8")
    print(f"wrote {Path(TARGET).relative_to(ROOT)}")
    return 0
