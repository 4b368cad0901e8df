"""How the lake's address and credential become options of delta-rs; the tables themselves: contract tests."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.delta import STORAGE_SCOPE, DeltaLake, parse_blob_uri, parse_connection_string
from shared.errors import PermanentError, TransientError

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ROOT = Path(__file__).parents[4]
AZURITE = (
    f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};"
    "BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;QueueEndpoint=http://127.0.0.1:1/devstoreaccount1;"
)


def test_azurite_is_told_by_its_endpoint_on_any_port() -> None:
    address = parse_connection_string(AZURITE.replace("{port}", "23456"))
    assert address.emulator_url == "http://127.0.0.1:23456"
    assert address.options["azure_storage_use_emulator"] == "true"
    assert address.options["azure_storage_account_name"] == "devstoreaccount1"
    assert address.options["azure_storage_account_key"] == KEY, "the key ends in = signs, which must stay"


def test_use_development_storage_is_azurite_on_its_usual_port() -> None:
    assert parse_connection_string("UseDevelopmentStorage=true").emulator_url == "http://127.0.0.1:10000"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("AccountName=lake1;AccountKey=a2V5", "https://lake1.blob.core.windows.net"),
        (
            "AccountName=lake1;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn",
            "https://lake1.blob.core.chinacloudapi.cn",
        ),
        ("AccountName=lake1;AccountKey=a2V5;BlobEndpoint=https://lake1.example.org/", "https://lake1.example.org"),
    ],
)
def test_an_account_in_the_cloud_is_named_by_its_endpoint(text: str, endpoint: str) -> None:
    address = parse_connection_string(text)
    assert address.emulator_url == ""
    assert address.options["azure_storage_endpoint"] == endpoint
    assert "azure_allow_http" not in address.options


def test_a_broken_connection_string_is_refused_without_repeating_it() -> None:
    with pytest.raises(PermanentError, match="names no AccountName, AccountKey") as caught:
        parse_connection_string("AccountKey=c2VjcmV0")
    assert "c2VjcmV0" not in str(caught.value)


def test_a_blob_endpoint_gives_account_and_endpoint() -> None:
    options = parse_blob_uri("https://stlake.blob.core.windows.net/").options
    assert options["azure_storage_account_name"] == "stlake"
    assert options["azure_storage_endpoint"] == "https://stlake.blob.core.windows.net"


@pytest.mark.parametrize("uri", ["stlake", "https://stlake.blob.core.windows.net/lake", "abfss://lake@x"])
def test_what_is_no_blob_endpoint_is_refused(uri: str) -> None:
    with pytest.raises(PermanentError, match="a blob endpoint such as"):
        parse_blob_uri(uri)


def test_importing_the_lake_loads_no_heavy_library() -> None:
    program = (
        "import sys, shared.adapters.delta, shared.lake.rows\n"
        "print(sorted({'deltalake', 'pyarrow', 'azure.identity'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", "the function app imports both at its start"


def test_a_lake_without_an_address_or_an_identity_is_refused() -> None:
    with pytest.raises(PermanentError, match="The lake has no address"):
        DeltaLake.connect()
    with pytest.raises(PermanentError, match="The lake has no address"):
        DeltaLake.connect(blob_uri="https://stlake.blob.core.windows.net")


def test_the_credentials_token_signs_the_requests_and_a_refusal_is_transient() -> None:
    """Against a server of our own that notes what it is asked, as there is no managed identity here."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    class Credential:
        scopes: tuple[str, ...] = ()

        def get_token(self, *scopes: str, **_: Any) -> Any:
            self.scopes = scopes
            return SimpleNamespace(token="a-token", expires_on=0)

    credential = Credential()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            uri = f"http://127.0.0.1:{server.server_port}"
            lake = DeltaLake.connect(blob_uri=uri, credential=credential)  # type: ignore[arg-type]
            with pytest.raises(TransientError, match="cannot be read or written"):
                lake.rows("samples", "a")
        finally:
            server.shutdown()
            thread.join()
    assert credential.scopes == (STORAGE_SCOPE,)
    assert asked
    assert all(path.startswith("/lake") and token == "Bearer a-token" for path, token in asked)
    assert any("samples/_delta_log" in path.replace("%2F", "/") for path, _ in asked)
