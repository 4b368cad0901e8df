"""JSON answers of the API, errors as RFC 9457 problem details."""

import json
from typing import Any

import azure.functions as func


def json_answer(value: Any, status: int = 200) -> func.HttpResponse:
    """A JSON document."""
    return func.HttpResponse(
        json.dumps(value, indent=2, ensure_ascii=False), status_code=status, mimetype="application/json"
    )


def problem(status: int, title: str, detail: str) -> func.HttpResponse:
    """An error that says what is wrong and what to do."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/problem+json")
