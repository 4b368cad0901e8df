"""The event relay against Azurite: what arrives in the queues, and what a restart or a fault does to it."""

import json
import signal
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ResourceExistsError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient, StandardBlobTier
from azure.storage.queue import QueueServiceClient, TextBase64DecodePolicy
from werkzeug.wrappers import Response

from infra.local.http_server import BackgroundServer
from infra.local.relay.service import DEFAULT_SUBSCRIPTIONS
from shared.adapters.events import EventPublisher
from shared.adapters.queues import HintQueues
from shared.errors import PermanentError, TransientError
from shared.formats.events import parse_blob_created, unquoted_etag
from shared.naming import BlobRef, Container, Queue
from shared.ports import Notice
from tests.contract.node_fixtures import running

pytestmark = pytest.mark.contract

LIMIT_SECONDS = 20
KEY = "local-key"


@dataclass
class Place:
    """A container and a queue of one test, joined by a subscription of its own."""

    azurite: object
    folder: Path
    container: ContainerClient
    queues: QueueServiceClient
    queue_name: str
    schema: str = "CloudEventSchemaV1_0"

    def relay(self, *options):
        subscription = {
            "name": "test",
            "container": self.container.container_name,
            "queue": self.queue_name,
            "eventDeliverySchema": self.schema,
            "filter": {
                "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
                "subjectBeginsWith": f"/blobServices/default/containers/{self.container.container_name}/blobs/",
                "subjectEndsWith": ".json",
            },
        }
        path = self.folder / "subscriptions.json"
        path.write_text(json.dumps([subscription]))
        return running(
            "infra.local.relay",
            *("--connection-string", self.azurite.connection_string, "--access-log", str(self.azurite.access_log)),
            *("--subscriptions", str(path), "--state", str(self.folder / "state"), "--port", "0"),
            *("--topic-key", KEY, *options),
        )

    def write(self, name, data=b"{}"):
        return self.container.get_blob_client(name).upload_blob(data, overwrite=True)

    def texts(self, count):
        """The next messages, at least `count`, taken out of the queue."""
        queue = self.queues.get_queue_client(self.queue_name, message_decode_policy=TextBase64DecodePolicy())
        found, end = [], time.monotonic() + LIMIT_SECONDS
        while len(found) < count:
            for message in queue.receive_messages(messages_per_page=32):
                found.append(message.content)
                queue.delete_message(message)
            assert time.monotonic() < end, f"{len(found)} of {count} events came"
        return found

    def blobs(self, count):
        return [parse_blob_created(text) for text in self.texts(count)]

    def names(self, count):
        return sorted(blob.name for blob in self.blobs(count))


def health(ready_line):
    return httpx.get(f"{ready_line.split()[-1]}/health").json()


@pytest.fixture
def place(azurite, tmp_path):
    name = f"relay-{uuid.uuid4().hex}"
    with (
        BlobServiceClient.from_connection_string(azurite.connection_string) as blobs,
        QueueServiceClient.from_connection_string(azurite.connection_string) as queues,
    ):
        yield Place(azurite, tmp_path, blobs.create_container(name), queues, name)


@pytest.mark.parametrize("schema", ["CloudEventSchemaV1_0", "EventGridSchema"])
def test_each_way_to_write_a_blob_makes_an_event_with_its_facts(place, schema):
    place.schema = schema
    with place.relay():
        name = "s p/ä+x%20?.json"
        put = place.write(name, b"12345")
        big = place.container.get_blob_client("big.json")
        big.stage_block("AAAA", b"123")
        big.commit_block_list([BlobBlock("AAAA")])
        copy = place.container.get_blob_client("copy.json")
        copy.start_copy_from_url(big.url)
        texts = place.texts(3)
        found = {blob.name: blob for blob in map(parse_blob_created, texts)}
        assert {one.name: (one.api, one.content_length) for one in found.values()} == {
            name: ("PutBlob", 5),
            "big.json": ("PutBlockList", 3),
            "copy.json": ("CopyBlob", 3),
        }
        assert found[name].etag == unquoted_etag(put["etag"])
        assert found[name].container == place.container.container_name
        assert found[name].event_time == place.container.get_blob_client(name).get_blob_properties().last_modified
        assert ("specversion" in json.loads(texts[0])) == (schema == "CloudEventSchemaV1_0")


def test_requests_that_write_no_blob_and_blobs_nobody_asked_for_make_no_event(place):
    with place.relay():
        blob = place.container.get_blob_client("a.json")
        blob.upload_blob(b"1")
        blob.set_blob_metadata({"a": "b"})
        blob.set_standard_blob_tier(StandardBlobTier.COOL)
        blob.acquire_lease().release()
        blob.stage_block("AAAA", b"1")
        place.write("data.bam")
        place.write("last.json")
        assert place.names(2) == ["a.json", "last.json"]


def test_an_overwritten_blob_makes_a_second_event_of_another_id(place):
    with place.relay():
        for _ in range(2):
            place.write("a.json")
        assert len({blob.event_id for blob in place.blobs(2)}) == 2


def test_an_event_comes_within_a_tenth_of_a_second(place):
    with place.relay():
        queue = place.queues.get_queue_client(place.queue_name)
        waits = []
        for number in range(10):
            place.write(f"{number}.json")
            begin = time.perf_counter()
            while not list(queue.receive_messages()):
                assert time.perf_counter() - begin < LIMIT_SECONDS
            waits.append(time.perf_counter() - begin)
        # the fastest half: the machine may be busy with something else
        assert sorted(waits)[4] < 0.1, waits


def test_blobs_written_while_the_relay_is_down_are_told_of_when_it_is_back(place):
    with place.relay():
        place.write("before.json")
        assert place.names(1) == ["before.json"]
    place.write("meanwhile.json")
    with place.relay():
        place.write("after.json")
        assert place.names(2) == ["after.json", "meanwhile.json"]


def test_a_killed_relay_loses_nothing_that_was_under_way(place):
    with place.relay("--delay-seconds", "300") as (line, process):
        for number in range(5):
            place.write(f"{number}.json")
        end = time.monotonic() + LIMIT_SECONDS
        while health(line)["pending"] < 5:
            assert time.monotonic() < end
        process.send_signal(signal.SIGKILL)
    with place.relay():
        assert place.names(5) == [f"{number}.json" for number in range(5)]


def test_a_blob_that_is_gone_again_makes_no_event_and_stops_nothing(place):
    place.write("gone.json")
    place.container.delete_blob("gone.json")
    place.write("here.json")
    with place.relay():
        assert place.names(1) == ["here.json"]


def test_duplicates_have_the_same_id(place):
    with place.relay("--duplicate", "1", "--shuffle"):
        place.write("a.json")
        first, second = place.blobs(2)
        assert first == second


def test_the_functions_host_is_told_of_each_new_message(place):
    told = []

    def record(environ, start_response):
        told.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        return Response(status=204)(environ, start_response)

    with BackgroundServer(record, "127.0.0.1", 0) as server, place.relay("--wake", server.url):
        place.write("a.json")
        assert place.names(1) == ["a.json"]
        end = time.monotonic() + LIMIT_SECONDS
        while not told:
            assert time.monotonic() < end
        assert told == [("POST", f"/local/wake/{place.queue_name}")]


def test_a_functions_host_that_is_not_there_is_no_matter(place):
    with place.relay("--wake", "http://127.0.0.1:9"):
        place.write("a.json")
        place.write("b.json")
        assert place.names(2) == ["a.json", "b.json"]


def test_lost_events_are_lost_and_the_relay_goes_on(place):
    with place.relay("--drop", "0.5", "--seed", "3") as (line, _):
        for number in range(20):
            place.write(f"{number}.json")
        end = time.monotonic() + LIMIT_SECONDS
        while health(line)["offset"] < place.azurite.access_log.stat().st_size:
            assert time.monotonic() < end
    with place.relay():
        place.write("last.json")
        names = place.names(1)
        while "last.json" not in names:
            names += place.names(1)
        assert 1 < len(names) < 20


def test_the_deployed_subscriptions_deliver_a_plan_to_split(azurite, place, tmp_path):
    analysis = uuid.uuid4().hex
    arguments = ("--connection-string", azurite.connection_string, "--access-log", str(azurite.access_log))
    state = ("--state", str(tmp_path / "deployed"), "--port", "0")
    with running("infra.local.relay", *arguments, "--subscriptions", str(DEFAULT_SUBSCRIPTIONS), *state):
        blobs = BlobServiceClient.from_connection_string(azurite.connection_string)
        with blobs:
            container = blobs.get_container_client("work")
            if not container.exists():
                container.create_container()
            container.upload_blob(f"{analysis}/plan.json", b"{}")
        place.queue_name = "split"
        names = place.names(1)
        while f"{analysis}/plan.json" not in names:
            names += place.names(1)


NOTICE = Notice("n1", "Test.Completed", "A1", datetime(2026, 1, 2, tzinfo=UTC), {"ä": 1})


def test_published_notices_arrive_in_the_queue_of_subscribers(place):
    place.queue_name = "completed"
    with place.relay() as (line, _):
        with EventPublisher(f"{line.split()[-1]}/completed/api/events", key=KEY) as publisher:
            publisher.publish(NOTICE)
        event = CloudEvent.from_json(place.texts(1)[0])
        assert (event.id, event.type, event.subject, event.data) == ("n1", "Test.Completed", "A1", {"ä": 1})


def test_what_the_topic_refuses_is_permanent(place):
    with place.relay() as (line, _):
        url = line.split()[-1]
        for endpoint, key, why in (
            (f"{url}/completed", "wrong", "refuses the key"),
            (f"{url}/nowhere", KEY, "no topic"),
        ):
            with EventPublisher(endpoint, key=key) as publisher, pytest.raises(PermanentError, match=why):
                publisher.publish(NOTICE)
        with (
            EventGridPublisherClient(f"{url}/completed", AzureKeyCredential(KEY)) as client,
            pytest.raises(Exception, match="no CloudEvent"),
        ):
            client.send(
                [{"eventType": "x", "subject": "y", "data": 1, "dataVersion": "1", "id": "1", "eventTime": "t"}]
            )


def test_a_hint_is_read_like_an_event(place):
    place.queue_name = Queue.SPLIT
    with suppress(ResourceExistsError):
        place.queues.create_queue(Queue.SPLIT)
    HintQueues(place.queues).send(Queue.SPLIT, BlobRef(Container.WORK, "A1/plan.json"))
    assert ("work", "A1/plan.json") in [(blob.container, blob.name) for blob in place.blobs(1)]


def test_a_hint_to_a_missing_queue_is_permanent_and_to_a_missing_service_transient(place):
    with pytest.raises(PermanentError, match="does not exist"):
        HintQueues(place.queues).send_text("no-such-queue", "x")
    nowhere = place.azurite.connection_string.replace(str(place.azurite.queue_port), "9")
    with (
        QueueServiceClient.from_connection_string(nowhere, retry_total=0) as service,
        pytest.raises(TransientError, match="failed for now"),
    ):
        HintQueues(service).send_text("split", "x")
