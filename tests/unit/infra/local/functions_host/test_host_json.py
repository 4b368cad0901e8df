"""host.json: defaults, limits and overrides of the real host; app settings."""

import json
import os

import pytest

from infra.local.functions_host.app_settings import AppSettings
from infra.local.functions_host.connections import queue_service
from infra.local.functions_host.host_json import HostSettings, MessageEncoding, QueueSettings, load_host_json
from infra.local.functions_host.service import DEFAULT_APP_ROOT
from shared.errors import PermanentError


def loaded(tmp_path, document, overrides=None):
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", **document}))
    return load_host_json(tmp_path, overrides or {})


def test_the_defaults_are_the_hosts(tmp_path):
    assert loaded(tmp_path, {}) == HostSettings(
        function_timeout_seconds=1800,
        route_prefix="api",
        queues=QueueSettings(
            batch_size=16,
            new_batch_threshold=8,
            max_dequeue_count=5,
            visibility_timeout_seconds=0,
            max_polling_seconds=60,
            message_encoding=MessageEncoding.BASE64,
        ),
    )


def test_this_projects_host_json_is_understood():
    assert load_host_json(DEFAULT_APP_ROOT, {}).queues.message_encoding is MessageEncoding.BASE64


def test_names_are_case_insensitive_and_values_are_read(tmp_path):
    queues = {"BatchSize": 4, "maxdequeuecount": 2, "visibilityTimeout": "00:00:30", "messageEncoding": "None"}
    document = {"functionTimeout": "-1", "extensions": {"http": {"routePrefix": ""}, "queues": queues}}
    settings = loaded(tmp_path, document)
    assert settings.function_timeout_seconds is None
    assert settings.route_prefix == ""
    assert settings.queues == QueueSettings(4, 2, 2, 30, 60, MessageEncoding.NONE)


def test_app_settings_replace_values(tmp_path):
    settings = AppSettings({"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2"})
    assert loaded(tmp_path, {}, settings.host_overrides()).queues.max_polling_seconds == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"version": "1.0"}, '"version"'),
        ({"extensions": {"queues": {"batchSize": 33}}}, "1 to 32"),
        ({"extensions": {"queues": {"visibilityTimeout": "30"}}}, "time span"),
        ({"extensions": {"queues": {"messageEncoding": "utf16"}}}, "utf16"),
        ({"functionTimeout": "24:00:00"}, "24 hours"),
    ],
)
def test_what_the_host_would_refuse_is_refused(tmp_path, document, why):
    with pytest.raises(PermanentError, match=why):
        loaded(tmp_path, document)


def test_a_folder_without_host_json_is_no_app_root(tmp_path):
    with pytest.raises(PermanentError, match=r"no host\.json"):
        load_host_json(tmp_path, {})


def test_local_settings_fill_the_environment_but_do_not_replace_it(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {"BOTH": "environment"})
    (tmp_path / "local.settings.json").write_text('{"Values": {"BOTH": "file", "ONE": "x"}}')
    settings = AppSettings.load(tmp_path)
    assert (settings.get("BOTH"), settings.get("one"), os.environ["ONE"]) == ("environment", "x", "x")


def test_a_setting_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "local.settings.json").write_text('{"Values": {"N": 5}}')
    with pytest.raises(PermanentError, match="value of N"):
        AppSettings.load(tmp_path)


def test_percent_names_are_resolved():
    settings = AppSettings({"QUEUE": "inbox"})
    assert settings.resolve("x-%queue%-y", "F") == "x-inbox-y"
    with pytest.raises(PermanentError, match="F refers to %MISSING%"):
        settings.resolve("%MISSING%", "F")


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"DATA": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10001/devstoreaccount1"),
        ({"AzureWebJobsDATA": "AccountName=a;AccountKey=a2V5"}, "https://a.queue.core.windows.net"),
        ({"DATA__queueServiceUri": "https://b.queue.core.windows.net"}, "https://b.queue.core.windows.net"),
        ({"DATA__accountName": "c"}, "https://c.queue.core.windows.net"),
    ],
)
def test_a_connection_is_a_string_or_an_account_for_an_identity(values, url):
    with queue_service("DATA", AppSettings(values), "F") as service:
        assert service.url.rstrip("/") == url


def test_a_missing_or_broken_connection_is_told_with_what_to_set():
    with pytest.raises(PermanentError, match="DATA__queueServiceUri"):
        queue_service("DATA", AppSettings({}), "F")
    with pytest.raises(PermanentError, match="no storage connection string"):
        queue_service("DATA", AppSettings({"DATA": "nonsense"}), "F")
