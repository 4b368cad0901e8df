"""SharedKey: the signature every request to an Azure Batch account carries."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs, urlsplit

from infra.local.batch_service.wire import WireError
from shared.errors import PermanentError

SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
MAX_CLOCK_SKEW = timedelta(minutes=15)
"""A signature older (or newer) than this is refused, so that a recorded request cannot be replayed for long."""


def string_to_sign(method: str, raw_url: str, headers: Mapping[str, str], account: str) -> str:
    """Return the text that SharedKey signs.

    Args:
        method: HTTP method in capitals.
        raw_url: Path and query exactly as sent (percent escapes kept in the path).
        headers: Header values by lower-case name.
        account: Batch account name.
    """
    signed = dict(headers)
    if method not in {"GET", "HEAD"} and not signed.get("content-length"):
        signed["content-length"] = "0"
    elif method in {"GET", "HEAD"} and signed.get("content-length") == "0":
        signed.pop("content-length")  # some HTTP stacks add it after signing
    url = urlsplit(raw_url)
    lines = [method, *(signed.get(name, "") for name in SIGNED_HEADERS)]
    lines += [f"{name}:{value}" for name, value in sorted(signed.items()) if name.startswith("ocp-") and value]
    lines.append(f"/{account}{url.path}")
    lines += [f"{name}:{values[0]}" for name, values in sorted(parse_qs(url.query).items())]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class SharedKey:
    """One account's name and key.

    Attributes:
        account: Account name.
        key: Base64 text, as Azure shows it.
    """

    account: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            base64.b64decode(self.key, validate=True)
        except (binascii.Error, ValueError) as error:
            raise PermanentError(
                f"The key of Batch account {self.account!r} is not base64 text. Copy the whole key, "
                f"including the = at its end."
            ) from error

    def signature(self, text: str) -> str:
        """Return the base64 HMAC-SHA256 of a text to sign."""
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()

    def check(self, method: str, raw_url: str, headers: Mapping[str, str], now: datetime) -> None:
        """Let a request pass or refuse it.

        Args:
            method: HTTP method in capitals.
            raw_url: Path and query exactly as sent.
            headers: Header values by lower-case name.
            now: The service's time, timezone-aware.

        Raises:
            WireError: AuthenticationFailed, with the reason.
        """
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        account, _, given = credentials.partition(":")
        if scheme != "SharedKey" or not given:
            raise WireError("AuthenticationFailed", AuthenticationErrorDetail="SharedKey credentials needed")
        if account != self.account:
            raise WireError("AuthenticationFailed", AuthenticationErrorDetail=f"unknown account {account}")
        self._check_date(headers, now)
        expected = self.signature(string_to_sign(method, raw_url, headers, self.account))
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise WireError("AuthenticationFailed", AuthenticationErrorDetail="the signature does not match")

    @staticmethod
    def _check_date(headers: Mapping[str, str], now: datetime) -> None:
        text = headers.get("ocp-date") or headers.get("date") or ""
        try:
            sent = parsedate_to_datetime(text)
        except ValueError as error:
            raise WireError(
                "AuthenticationFailed", AuthenticationErrorDetail=f"ocp-date {text!r} is no date"
            ) from error
        if sent.tzinfo is None:
            sent = sent.replace(tzinfo=UTC)
        if abs(now - sent) > MAX_CLOCK_SKEW:
            raise WireError(
                "AuthenticationFailed",
                AuthenticationErrorDetail=f"ocp-date {text} is more than 15 minutes off {now:%H:%M:%S} UTC",
            )
