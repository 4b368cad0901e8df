"""The local custom topic takes what Event Grid would take and refuses what it would refuse."""

import json

import pytest
from werkzeug.test import Client

from infra.local.relay.topic import TopicApp

EVENT = {"id": "1", "source": "s", "type": "t", "specversion": "1.0", "data": {"x": "ä"}}
KEY = {"aeg-sas-key": "secret"}


@pytest.fixture
def sent():
    return []


@pytest.fixture
def client(sent):
    app = TopicApp(lambda *one: sent.append(one), frozenset({"completed"}), lambda: {"status": "ok"}, "secret")
    return Client(app)


@pytest.mark.parametrize("path", ["/completed", "/completed/api/events"])
def test_a_batch_of_cloud_events_becomes_one_message_each(client, sent, path):
    batch = [EVENT, {**EVENT, "id": "2"}]
    assert client.post(f"{path}?api-version=2018-01-01", json=batch, headers=KEY).status_code == 200
    assert [(topic, json.loads(text)) for topic, text in sent] == [("completed", one) for one in batch]


def test_a_single_event_is_taken_too(client, sent):
    assert client.post("/completed", json=EVENT, headers=KEY).status_code == 200
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/completed", EVENT, {}, 401),
        ("/completed", EVENT, {"aeg-sas-key": "wrong"}, 401),
        ("/other", EVENT, KEY, 404),
        ("/completed", {**EVENT, "specversion": "0.3"}, KEY, 400),
        ("/completed", [EVENT, {**EVENT, "id": ""}], KEY, 400),
        ("/completed", [EVENT, 5], KEY, 400),
        ("/completed", "text", KEY, 400),
    ],
)
def test_nothing_is_sent_when_a_request_is_refused(client, sent, path, body, headers, status):
    assert client.post(path, json=body, headers=headers).status_code == status
    assert sent == []


def test_a_body_that_is_no_json_is_refused(client, sent):
    assert client.post("/completed", data=b"{", headers=KEY).status_code == 400


def test_a_request_over_one_megabyte_is_refused(client, sent):
    assert client.post("/completed", data=b" " * (2**20 + 1), headers=KEY).status_code == 413


def test_reading_a_topic_is_refused(client):
    assert client.get("/completed").status_code == 405


def test_health_tells_how_the_relay_is(client):
    assert client.get("/health").get_json() == {"status": "ok"}
