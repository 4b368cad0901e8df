"""Identifiers and the base of every stored JSON document."""

import hashlib
import json
from typing import Any, NewType

from pydantic import BaseModel, ConfigDict

AnalysisId = NewType("AnalysisId", str)
"""One processing of one sample: 24 hex digits of a hash of all that decides the results."""


class Document(BaseModel):
    """A stored JSON document: immutable, strict about unknown fields, with one spelling of its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    def to_json(self) -> bytes:
        """The document as UTF-8 JSON with sorted keys: equal documents have equal bytes."""
        return canonical_json(self.model_dump(mode="json"))


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, two-space indent and a final newline, as UTF-8."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
