"""The EHR's FHIR R4 service over HTTP: Azure Health Data Services in the cloud, the local server elsewhere.

Error messages name issues and places of a refused bundle, but no patient: identifiers, names and conditions of
the bundle are taken out of the server's words, and no query is ever repeated. `httpx` logs every address it calls,
which would put patient references into the log, so its logger is raised to WARNING here.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from shared.errors import PermanentError, TransientError

if TYPE_CHECKING:
    import httpx
    from azure.core.credentials import AccessToken, TokenCredential

logging.getLogger("httpx").setLevel(logging.WARNING)

FHIR_JSON = "application/fhir+json"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
TRANSIENT_STATUSES = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,  # two transactions met at one resource; the later one is repeated
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
TOKEN_MARGIN_SECONDS = 300
"""A token is renewed this long before it expires, longer than the longest request."""
MAX_PAGES = 200
"""Pages of one search, 1,000 resources each at most; more is a query that was meant otherwise."""
MAX_ISSUES = 5
MAX_ISSUE_TEXT = 300

_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")
_PERSON_REFERENCE = re.compile(r"\b(Patient|Person|RelatedPerson)/[A-Za-z0-9\-.]+")
_CONDITION = re.compile(r"\?[^\s'\"]+")
_REMOVED = "[removed]"


class FhirServer:
    """Posts transactions and runs searches; waits and repeats where the server asks for it.

    Args:
        base_url: The service root, such as ``https://workspace-name.fhir.azurehealthcareapis.com``.
        credential: Gives bearer tokens; None sends none (local server).
        audience: Whom tokens are for; the service root when None.
        max_attempts: Requests per call, the first one included.
        max_wait_seconds: Longest wait before a repetition; a server that asks for more ends the call with a
            TransientError, so that the queue waits and not a paid function.
        timeout_seconds: Longest silence of the server; a transaction of 500 entries takes tens of seconds.
        sleep: Waits; replaced in tests.

    Raises:
        PermanentError: When tokens would travel unencrypted.
    """

    def __init__(
        self,
        base_url: str,
        credential: "TokenCredential | None" = None,
        audience: str | None = None,
        *,
        max_attempts: int = 5,
        max_wait_seconds: float = 30.0,
        timeout_seconds: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx

        address = urlsplit(base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise PermanentError(f"The FHIR server's address {base_url!r} is no http(s) address. Correct the setting.")
        if credential is not None and address.scheme != "https" and address.hostname not in LOOPBACK_HOSTS:
            raise PermanentError(
                f"The FHIR server's address {base_url!r} is not https: access tokens would travel unencrypted."
            )
        self._base_url = base_url.rstrip("/")
        self._credential = credential
        self._scope = f"{(audience or self._base_url).rstrip('/')}/.default"
        self._token: AccessToken | None = None
        self._max_attempts = max_attempts
        self._max_wait_seconds = max_wait_seconds
        self._sleep = sleep
        self._client = httpx.Client(timeout=httpx.Timeout(timeout_seconds, connect=10.0))

    def post_transaction(self, bundle: bytes) -> tuple[str, ...]:
        """Post a transaction bundle, all or nothing; references `Type/id` of the stored resources, in order.

        Repeating is safe for bundles with ids of their own (PUT) and conditional creates.

        Raises:
            PermanentError: When the server refuses the bundle, with its reasons.
            TransientError: When the server is busy or unreachable after all attempts.
        """
        document = json.loads(bundle)
        entries = document.get("entry", [])
        headers = {"Content-Type": FHIR_JSON}
        response = self._send("POST", self._base_url, "the transaction", bundle, headers, secrets=document)
        answer = self._json(response, "the transaction")
        answers = answer.get("entry", [])
        if answer.get("type") != "transaction-response" or len(answers) != len(entries):
            raise PermanentError(
                f"The FHIR server answered a transaction of {len(entries)} entries with "
                f"{answer.get('type') or answer.get('resourceType')} of {len(answers)}. "
                "Is the address that of a FHIR service root?"
            )
        return tuple(
            self._stored(number, entry, reply)
            for number, (entry, reply) in enumerate(zip(entries, answers, strict=True))
        )

    def search(self, query: str) -> dict[str, Any]:
        """Run a search such as ``DiagnosticReport?subject=Patient/1``; all pages as one searchset bundle.

        A parameter that the server does not know is an error, not a wider answer.
        """
        what = f"the search for {re.split(r'[/?]', query, maxsplit=1)[0]}"
        bundle: dict[str, Any] | None = None
        url: str | None = f"{self._base_url}/{query.lstrip('/')}"
        for _ in range(MAX_PAGES):
            assert url is not None
            page = self._json(self._send("GET", url, what, headers={"Prefer": "handling=strict"}), what)
            if bundle is None:
                bundle = page
            else:
                bundle.setdefault("entry", []).extend(page.get("entry", []))
            url = _link(page, "next")
            if url is None:
                links = [link for link in bundle.get("link", []) if link.get("relation") != "next"]
                return {**bundle, "link": links} if "link" in bundle else bundle
            if not url.startswith(f"{self._base_url}/"):
                raise PermanentError(f"The FHIR server sent the next page of {what} to another address; not followed.")
        raise PermanentError(f"The answer to {what} has more than {MAX_PAGES} pages. Narrow the query.")

    def is_healthy(self) -> bool:
        """Whether the service answers its health check; no token is sent."""
        import httpx

        try:
            return self._client.get(f"{self._base_url}/health/check").status_code == HTTPStatus.OK
        except httpx.TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stored(self, number: int, entry: Mapping[str, Any], reply: Mapping[str, Any]) -> str:
        """The reference of what an entry stored."""
        response = reply.get("response", {})
        status = str(response.get("status", ""))
        if not status.startswith("2"):
            reasons = _reasons(response.get("outcome"), entry)
            raise PermanentError(f"The FHIR server answered entry {number} of the transaction with {status}: {reasons}")
        # Azure tells a location only of new resources, and nothing at all of a conditional create that matched.
        located = _REFERENCE.search(str(response.get("location", "")))
        if located:
            return located[1]
        stored = reply.get("resource", {})
        if stored.get("id") and stored.get("resourceType"):
            return f"{stored['resourceType']}/{stored['id']}"
        request = entry.get("request", {})
        if "?" not in request["url"] and "/" in request["url"]:
            return str(request["url"])
        return self._match(number, request)

    def _match(self, number: int, request: Mapping[str, Any]) -> str:
        """The one resource that an entry's condition matches; asked by POST, which keeps it out of access logs."""
        kind, _, condition = request["url"].partition("?")
        what = f"the search for the {kind} of entry {number}"
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Prefer": "handling=strict"}
        content = (request.get("ifNoneExist") or condition).encode()
        found = self._json(self._send("POST", f"{self._base_url}/{kind}/_search", what, content, headers), what)
        references = [f"{kind}/{entry['resource']['id']}" for entry in found.get("entry", [])]
        if len(references) != 1:
            raise PermanentError(
                f"The FHIR server took entry {number} of the transaction as known, but {len(references)} resources of "
                f"type {kind} match its condition; exactly one should. Merge or remove the others in the EHR."
            )
        return references[0]

    def _send(
        self,
        method: str,
        url: str,
        what: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: object = None,
    ) -> "httpx.Response":
        """Send a request until it is answered for good; the answer is a success."""
        import httpx

        problem = ""
        for attempt in range(1, self._max_attempts + 1):
            wait = min(2.0 ** (attempt - 1), self._max_wait_seconds)
            try:
                request_headers = {"Accept": FHIR_JSON, **(headers or {}), **self._authorization()}
                response = self._client.request(method, url, content=content, headers=request_headers)
            except httpx.TransportError as error:
                # The type says it all; the message may hold the address with the query.
                problem = f"the connection failed ({type(error).__name__})"
            else:
                if response.is_success:
                    return response
                problem = f"HTTP {response.status_code}"
                lasting = response.status_code == HTTPStatus.NOT_IMPLEMENTED
                if lasting or not (response.is_server_error or response.status_code in TRANSIENT_STATUSES):
                    raise self._refusal(response, what, secrets)
                wait = _asked_wait(response.headers, datetime.now(UTC)) or wait
            if wait > self._max_wait_seconds:
                raise TransientError(
                    f"The FHIR server asks to wait {wait:.0f} s before {what} is repeated ({problem})."
                )
            if attempt < self._max_attempts:
                self._sleep(wait)
        raise TransientError(
            f"The FHIR server did not take {what} in {self._max_attempts} attempts; the last one: {problem}."
        )

    def _refusal(self, response: "httpx.Response", what: str, secrets: object) -> PermanentError:
        request_id = response.headers.get("x-request-id", "none")
        text = f"The FHIR server refused {what} with HTTP {response.status_code} (request id {request_id})"
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._token = None
            return PermanentError(
                f"{text}. Does the app's identity have the role 'FHIR Data Contributor', and is the audience "
                f"{self._scope.removesuffix('/.default')} that of the service?"
            )
        try:
            outcome = response.json()
        except ValueError:
            return PermanentError(f"{text}, without a FHIR answer. Is the address that of a FHIR service root?")
        # A query's values are not in `secrets`: what a search's refusal quotes could be a patient's name.
        reasons = _reasons(outcome, secrets) if secrets is not None else _places(outcome)
        return PermanentError(f"{text}: {reasons}")

    def _authorization(self) -> dict[str, str]:
        if self._credential is None:
            return {}
        if self._token is None or self._token.expires_on - time.time() < TOKEN_MARGIN_SECONDS:
            from azure.core.exceptions import AzureError

            try:
                self._token = self._credential.get_token(self._scope)
            except AzureError as error:
                raise TransientError(
                    f"No access token for the FHIR server ({type(error).__name__}). Has the app a managed identity?"
                ) from error
        return {"Authorization": f"Bearer {self._token.token}"}

    def _json(self, response: "httpx.Response", what: str) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError as error:
            raise PermanentError(
                f"The FHIR server's answer to {what} is not JSON. Is the address that of a FHIR service root?"
            ) from error
        if not isinstance(document, dict):
            raise PermanentError(f"The FHIR server's answer to {what} is no FHIR resource.")
        return document


def _link(bundle: Mapping[str, Any], relation: str) -> str | None:
    return next((str(link["url"]) for link in bundle.get("link", []) if link.get("relation") == relation), None)


def _asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the server asks to wait; None when it does not say."""
    milliseconds = headers.get("x-ms-retry-after-ms", "")
    if milliseconds.isdecimal():
        return int(milliseconds) / 1000
    text = headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _issues(outcome: object) -> list[dict[str, Any]]:
    issues = outcome.get("issue", []) if isinstance(outcome, dict) else []
    return [issue for issue in issues if isinstance(issue, dict)]


def _places(outcome: object) -> str:
    """Codes and places of the issues, without the server's words."""
    places = [
        " ".join([str(issue.get("code", "unknown")), *issue.get("expression", [])])
        for issue in _issues(outcome)[:MAX_ISSUES]
    ]
    return "; ".join(places) or "no reason given"


def _reasons(outcome: object, sent: object) -> str:
    """The server's words without the persons and conditions that were sent."""
    secrets = sorted(set(_secrets(sent)), key=len, reverse=True)
    texts = []
    issues = _issues(outcome)
    for issue in issues[:MAX_ISSUES]:
        details = issue.get("details")
        text = issue.get("diagnostics") or (details.get("text") if isinstance(details, dict) else None)
        text = _PERSON_REFERENCE.sub(rf"\1/{_REMOVED}", _CONDITION.sub(f"?{_REMOVED}", str(text or "no words")))
        for secret in secrets:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _REMOVED, text)
        places = ", ".join(place for place in issue.get("expression", []) if place not in text)
        texts.append(text[:MAX_ISSUE_TEXT] + (f" ({places})" if places else ""))
    if len(issues) > MAX_ISSUES:
        texts.append(f"and {len(issues) - MAX_ISSUES} more")
    return "; ".join(texts) or "no reason given"


def _secrets(node: object, *, inside: bool = False) -> Iterator[str]:
    """Strings that say who someone is: all of a person's resource, all identifiers, names in references, conditions."""
    if isinstance(node, dict):
        person = inside or node.get("resourceType") in {"Patient", "Person", "RelatedPerson"}
        for name, value in node.items():
            if name == "resourceType":
                continue
            # A code's display is public; a reference's display is a name.
            named = name == "display" and "reference" in node
            secret = person or named or name in {"identifier", "ifNoneExist"}
            yield from _secrets(value, inside=secret)
    elif isinstance(node, list):
        for value in node:
            yield from _secrets(value, inside=inside)
    elif inside and isinstance(node, str) and node:
        yield node
