"""SharedKey signatures."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.transport import HttpTransport
from hypothesis import given
from hypothesis import strategies as st

from infra.local.batch_service.auth import SharedKey, string_to_sign
from infra.local.batch_service.wire import WireError
from shared.errors import PermanentError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = SharedKey("acc", base64.b64encode(b"secret").decode())
URL = "/jobs/j?api-version=2025-06-01"


def signed(method="GET", url=URL, key=KEY, **headers):
    headers = {"ocp-date": format_datetime(NOW, usegmt=True), **{k.replace("_", "-"): v for k, v in headers.items()}}
    text = string_to_sign(method, url, headers, key.account)
    return {**headers, "authorization": f"SharedKey {key.account}:{key.signature(text)}"}


def test_the_text_to_sign_is_the_documented_one():
    text = string_to_sign(
        "POST",
        "/jobs/j%2Fx/tasks?timeOut=30&api-version=2025-06-01&$filter=id%20eq%20'a'",
        {"content-length": "12", "content-type": "application/json", "ocp-date": "D", "if-match": '"e"', "accept": "x"},
        "acc",
    )
    assert text == (
        'POST\n\n\n12\n\napplication/json\n\n\n"e"\n\n\n\nocp-date:D\n/acc/jobs/j%2Fx/tasks\n'
        "$filter:id eq 'a'\napi-version:2025-06-01\ntimeOut:30"
    )


def test_a_post_without_body_signs_the_length_0_and_a_get_none():
    assert string_to_sign("POST", "/x", {}, "a").split("\n")[3] == "0"
    assert string_to_sign("GET", "/x", {"content-length": "0"}, "a").split("\n")[3] == ""


def test_a_signature_is_hmac_sha256_of_the_text():
    assert KEY.signature("text") == base64.b64encode(hmac.digest(b"secret", b"text", hashlib.sha256)).decode()


def test_a_rightly_signed_request_passes():
    KEY.check("GET", URL, signed(), NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer token"},
        {"authorization": "SharedKey acc"},
        signed(key=SharedKey("acc", "b3RoZXI=")),
        signed(key=SharedKey("other", KEY.key)),
        {**signed(), "if-match": '"changed"'},
        {**signed(), "ocp-range": "bytes=0-1"},
        {**signed(), "authorization": signed()["authorization"] + "ü"},
        signed(ocp_date="yesterday"),
    ],
    ids=["none", "bearer", "no signature", "key", "account", "header", "ocp header", "not ascii", "date"],
)
def test_any_other_request_is_refused(headers):
    with pytest.raises(WireError, match="AuthenticationFailed"):
        KEY.check("GET", URL, headers, NOW)


@pytest.mark.parametrize(
    ("method", "url"), [("DELETE", URL), ("GET", "/jobs/k?api-version=2025-06-01"), ("GET", "/jobs/j")]
)
def test_a_signature_holds_for_its_own_request_only(method, url):
    with pytest.raises(WireError, match="does not match"):
        KEY.check(method, url, signed(), NOW)


@pytest.mark.parametrize(("minutes", "passes"), [(-15, True), (15, True), (-16, False), (16, False)])
def test_a_request_is_valid_for_15_minutes_around_its_date(minutes, passes):
    now = NOW + timedelta(minutes=minutes)
    if passes:
        KEY.check("GET", URL, signed(), now)
    else:
        with pytest.raises(WireError, match="15 minutes"):
            KEY.check("GET", URL, signed(), now)


def test_a_key_that_is_no_base64_is_refused_and_a_key_is_never_shown():
    with pytest.raises(PermanentError, match="not base64"):
        SharedKey("acc", "???")
    assert KEY.key not in repr(KEY)


class _Recorder(HttpTransport):
    """A transport that keeps the request instead of sending it."""

    def send(self, request, **_kwargs):
        self.request = request
        raise ConnectionAbortedError

    def open(self):
        pass

    def close(self):
        pass

    def __exit__(self, *_):
        pass


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.text("abcXYZ09_- %ü/", min_size=1, max_size=20),
)
def test_what_the_sdk_signs_passes_for_any_filter_and_path(text, path):
    transport = _Recorder()
    client = BatchClient("http://h", AzureNamedKeyCredential(KEY.account, KEY.key), transport=transport)
    for call in (
        lambda: list(client.list_tasks("j", filter=text, max_results=3)),
        lambda: client.download_task_file("j", "t", path, ocp_range="bytes=0-3"),
        lambda: client.reactivate_task("j", "t", etag="0x1"),
    ):
        with pytest.raises(ConnectionAbortedError):
            call()
        request = transport.request
        headers = {name.lower(): value for name, value in request.headers.items()}
        KEY.check(request.method, request.url.removeprefix("http://h"), headers, datetime.now(UTC))
