"""The relay process: follow the access log, make events, deliver them, and take published notices."""

import argparse
import json
import logging
import random
import signal
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64EncodePolicy

from infra.local.event_filters import Subscription, load_subscriptions
from infra.local.http_server import BackgroundServer
from infra.local.relay.access_log import Bookmark, LogLine, LogTail, WrittenBlob, written_blob
from infra.local.relay.delivery import Dispatcher, Faults, Progress
from infra.local.relay.topic import TopicApp
from shared.formats.events import (
    BLOB_CREATED,
    BlobCreated,
    DeliverySchema,
    blob_created_event,
    event_id_for,
    unquoted_etag,
)

log = logging.getLogger(__name__)

DEFAULT_PORT = 10300
DEFAULT_SUBSCRIPTIONS = Path(__file__).resolve().parents[2] / "subscriptions.json"
COMPLETED = "completed"
"""The custom topic, and the queue in which its events end."""

_TAIL_SECONDS = 0.01  # a look at a file that has not grown costs about 20 microseconds
_WAKE_SECONDS = 1.0  # the host answers in milliseconds, or is not there
_TOPIC_FORMAT = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.Storage/storageAccounts/{account}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the relay's options."""
    parser.add_argument("--connection-string", required=True, help="the storage account, for example Azurite's")
    parser.add_argument("--access-log", required=True, type=Path, help="Azurite's access log")
    parser.add_argument("--subscriptions", type=Path, default=DEFAULT_SUBSCRIPTIONS, help="who gets which events")
    parser.add_argument("--state", required=True, type=Path, help="folder that remembers how far the log is read")
    parser.add_argument("--host", default="127.0.0.1", help="address of the custom topic")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the custom topic; 0 takes a free one")
    parser.add_argument("--topic-key", default="", help="key that publishers must send; empty takes any")
    parser.add_argument(
        "--wake",
        default="",
        metavar="URL",
        help="functions host to tell of new messages, so that it need not poll fast",
    )
    faults = parser.add_argument_group("faults", "what goes wrong on purpose, for tests")
    faults.add_argument("--drop", type=_probability, default=0.0, metavar="P", help="lose deliveries")
    faults.add_argument("--duplicate", type=_probability, default=0.0, metavar="P", help="deliver twice")
    faults.add_argument("--delay-seconds", type=float, default=0.0, metavar="S", help="deliver late, by up to S")
    faults.add_argument("--shuffle", action="store_true", help="deliver out of order")
    faults.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the choices")


def run(arguments: argparse.Namespace) -> int:
    """Relay events until SIGTERM or SIGINT; the exit status.

    Raises:
        PermanentError: The subscriptions or the bookmark cannot be used.
    """
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    faults = Faults(
        drop=arguments.drop,
        duplicate=arguments.duplicate,
        delay_seconds=arguments.delay_seconds,
        shuffle=arguments.shuffle,
        seed=arguments.seed,
    )
    relay = Relay(
        arguments.connection_string,
        access_log=arguments.access_log,
        subscriptions=load_subscriptions(arguments.subscriptions),
        state=arguments.state,
        faults=faults,
        wake_url=arguments.wake,
    )
    topic = TopicApp(relay.send, frozenset({COMPLETED}), relay.health, arguments.topic_key)
    with BackgroundServer(topic, arguments.host, arguments.port) as server:
        print(f"relay ready at {server.url}", flush=True)
        relay.follow(stop)
    return 0


class Relay:
    """Turns lines of the access log into events in queues.

    Args:
        connection_string: The storage account.
        access_log: The log of its blob service.
        subscriptions: Who gets which events.
        state: Folder of the bookmark.
        faults: What goes wrong on purpose.
        wake_url: Address of a functions host that is told of every new message; empty tells none.
    """

    def __init__(
        self,
        connection_string: str,
        *,
        access_log: Path,
        subscriptions: tuple[Subscription, ...],
        state: Path,
        faults: Faults,
        wake_url: str = "",
    ) -> None:
        # No retries inside the clients: the dispatcher tries again, sooner than they would.
        self._blobs = BlobServiceClient.from_connection_string(connection_string, retry_total=0)
        self._account_path = urlsplit(self._blobs.url).path.rstrip("/")
        self._source = _TOPIC_FORMAT.format(account=self._blobs.account_name or "local")
        self._subscriptions = subscriptions
        self._queues = _open_queues(
            QueueServiceClient.from_connection_string(connection_string, retry_total=0),
            {COMPLETED, *(one.queue for one in subscriptions)},
        )
        self._bookmark = Bookmark(state, access_log)
        offset = self._bookmark.load()
        self._tail = LogTail(access_log, offset)
        self._progress = Progress(offset)
        self._faults = faults
        self._wake_url = wake_url.rstrip("/")
        self._choices = random.Random(faults.seed)  # noqa: S311 (faults for tests, no secrets)
        self._dispatcher = Dispatcher()
        self._delivered: dict[str, int] = dict.fromkeys(sorted(self._queues), 0)
        self._counting = threading.Lock()

    def follow(self, stop: threading.Event) -> None:
        """Relay until `stop` is set."""
        try:
            while not stop.is_set():
                for line in self._tail.new_lines():
                    self._look_at(line)
                self._progress.read_to(self._tail.complete_offset)
                self._bookmark.save(self._progress.done)
                stop.wait(_TAIL_SECONDS)
        finally:
            self._dispatcher.stop()
            self._bookmark.save(self._progress.done)
            self._blobs.close()

    def send(self, queue: str, text: str) -> None:
        """Put an event into a queue."""
        self._queues[queue].send_message(text)
        with self._counting:
            self._delivered[queue] += 1
        if self._wake_url:
            self._wake(queue)

    def _wake(self, queue: str) -> None:
        """Save the host the rest of its polling delay; the message is found without it, only later."""
        request = Request(f"{self._wake_url}/local/wake/{queue}", method="POST")
        try:
            with urlopen(request, timeout=_WAKE_SECONDS):
                pass
        except OSError as error:  # also every HTTP error: no function may have this queue
            log.debug("the functions host was not told of %s: %s", queue, error)

    def health(self) -> dict[str, Any]:
        """What `/health` answers: the place in the log, and counts of delivered events by queue."""
        return {
            "status": "ok",
            "offset": self._progress.done,
            "pending": self._progress.pending,
            "delivered": dict(self._delivered),
        }

    def _look_at(self, line: LogLine) -> None:
        blob = written_blob(line.text, self._account_path)
        if blob is None:
            return
        subject = f"/blobServices/default/containers/{blob.container}/blobs/{blob.name}"
        takers = [one for one in self._subscriptions if one.filter.may_match(BLOB_CREATED, subject)]
        if not takers:
            return  # data files stop here, without a request to the storage
        plans = [(one, self._faults.plan(self._choices)) for one in takers]
        self._progress.begin(line.start)
        self._dispatcher.submit(lambda: self._make_event(blob, line, plans), lambda: self._progress.end(line.start))

    def _make_event(
        self, blob: WrittenBlob, line: LogLine, plans: list[tuple[Subscription, tuple[float, ...]]]
    ) -> None:
        """Ask for the blob's properties and deliver its event to every subscription whose filter matches."""
        client = self._blobs.get_blob_client(blob.container, blob.name)
        try:
            found = client.get_blob_properties()
        except ResourceNotFoundError:
            log.info("no event for %s/%s: it is gone", blob.container, blob.name)
            return
        etag = unquoted_etag(str(found.etag))
        event = BlobCreated(
            container=blob.container,
            name=blob.name,
            etag=etag,
            content_length=int(found.size),
            api=blob.api,
            # The place in the log makes the id unique for each write and the same for each delivery of it.
            event_id=event_id_for(blob.container, blob.name, etag, str(line.start)),
            event_time=found.last_modified,
        )
        texts = {
            schema: blob_created_event(
                event,
                source=self._source,
                url=client.url,
                content_type=str(found.content_settings.content_type or ""),
                blob_type=str(getattr(found.blob_type, "value", found.blob_type)),
                request_id=event.event_id,  # the log does not tell the storage's own request id
                sequencer=f"{line.start:032x}",
                schema=schema,
            )
            for schema in DeliverySchema
        }
        attributes = json.loads(texts[DeliverySchema.EVENT_GRID])
        for subscription, delays in plans:
            if not subscription.filter.matches(attributes):
                continue
            text = texts[subscription.schema]
            for delay in delays:
                self._deliver(subscription.queue, text, line.start, delay)

    def _deliver(self, queue: str, text: str, start: int, delay_seconds: float) -> None:
        self._progress.begin(start)
        self._dispatcher.submit(lambda: self.send(queue, text), lambda: self._progress.end(start), delay_seconds)


def _open_queues(service: QueueServiceClient, names: set[str]) -> dict[str, QueueClient]:
    queues = {}
    for name in sorted(names):
        queue = service.get_queue_client(name, message_encode_policy=TextBase64EncodePolicy())
        try:
            queue.create_queue()
        except ResourceExistsError:
            log.debug("queue %s is there", name)
        queues[name] = queue
    return queues


def _probability(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no probability between 0 and 1")
    return value
