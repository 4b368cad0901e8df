"""Queue triggers with the semantics of the host's QueueListener and QueueProcessor."""

import base64
import binascii
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage, QueueServiceClient

from infra.local.functions_host.arguments import queue_argument
from infra.local.functions_host.host_json import MessageEncoding, QueueSettings
from infra.local.functions_host.indexing import IndexedFunction
from infra.local.functions_host.invocation import Invoker, Outcome

log = logging.getLogger(__name__)

INVISIBLE_SECONDS = 600
"""How long a message that is being worked on stays hidden; renewed at half of it."""

_POISON_SUFFIX = "-poison"
_MIN_POLLING_SECONDS = 0.1
_SPREAD = 0.2
_JOIN_SECONDS = 5.0


class PollingDelay:
    """The host's randomized exponential back-off between looks at an empty queue.

    Args:
        max_seconds: The longest delay.
        choices: Source of randomness.
    """

    def __init__(self, max_seconds: float, choices: random.Random) -> None:
        self._max_seconds = max_seconds
        self._choices = choices
        self._exponent = 1
        self._seconds = 0.0

    def found_work(self) -> None:
        """The next delay is the shortest again."""
        self._exponent = 1
        self._seconds = 0.0

    def found_nothing(self) -> float:
        """Seconds until the next look."""
        if self._seconds < self._max_seconds:
            factor = self._choices.uniform(1 - _SPREAD, 1 + _SPREAD) * 2 ** (self._exponent - 1)
            self._seconds = min(self._max_seconds, _MIN_POLLING_SECONDS * (1 + factor))
            self._exponent += 1
        return self._seconds


class _Held:
    """A message that is being worked on; its pop receipt changes with every renewal."""

    def __init__(self, message: QueueMessage, renew_at: float) -> None:
        self.message = message
        self.renew_at = renew_at
        self.lock = threading.Lock()
        self.settled = False


class QueueTrigger:
    """Takes messages from one queue and runs a function on each.

    Args:
        function: The function.
        service: Client of the queue service.
        queue_name: The queue; while it does not exist, it counts as empty.
        settings: `extensions.queues` of host.json.
        invoker: Runs the function.
        invisible_seconds: See `INVISIBLE_SECONDS`.
    """

    def __init__(
        self,
        function: IndexedFunction,
        service: QueueServiceClient,
        queue_name: str,
        settings: QueueSettings,
        invoker: Invoker,
        invisible_seconds: int = INVISIBLE_SECONDS,
    ) -> None:
        self.function = function
        self.queue_name = queue_name
        # No decode policy: one message that is not base64 must not hide the others of its batch.
        self._queue: QueueClient = service.get_queue_client(queue_name)
        self._poison: QueueClient | None = None
        if not queue_name.endswith(_POISON_SUFFIX):
            self._poison = service.get_queue_client(queue_name + _POISON_SUFFIX)
        self._settings = settings
        self._invoker = invoker
        self._invisible_seconds = invisible_seconds
        self._delay = PollingDelay(settings.max_polling_seconds, random.Random())  # noqa: S311 (no secrets)
        self._held: set[_Held] = set()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=f"queue-{queue_name}", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue now, as the host does when one of its own functions has written to it."""
        self._wake.set()

    def stop(self) -> None:
        """Take no more messages; those taken go on."""
        self._stop.set()
        self._wake.set()
        with self._changed:
            self._changed.notify_all()

    def release(self) -> None:
        """Make the messages that are still being worked on visible again, for another host."""
        self._thread.join(_JOIN_SECONDS)  # it may be taking a last batch
        for held in self._all_held():
            with held.lock:
                if not held.settled:
                    held.settled = True
                    try:
                        self._show_again(held, 0)
                    except AzureError as error:
                        log.warning("%s: a message stays hidden for a while: %s", self.queue_name, _short(error))

    def renew(self) -> None:
        """Keep the messages that are being worked on hidden; called about once a second."""
        now = time.monotonic()
        for held in self._all_held():
            with held.lock:
                if held.settled or now < held.renew_at:
                    continue
                try:
                    updated = self._queue.update_message(held.message, visibility_timeout=self._invisible_seconds)
                    held.message.pop_receipt = updated.pop_receipt
                    held.renew_at = now + self._invisible_seconds / 2
                except AzureError as error:
                    log.warning("%s: a message could not be kept hidden: %s", self.queue_name, _short(error))
                    held.renew_at = now + self._invisible_seconds / 10

    def _all_held(self) -> list[_Held]:
        with self._changed:
            return list(self._held)

    def _poll(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stop.is_set() or len(self._held) <= self._settings.new_batch_threshold
                )
            if self._stop.is_set():
                return
            self._wake.clear()
            if self._take_batch():
                self._delay.found_work()
            else:
                self._wake.wait(self._delay.found_nothing())

    def _take_batch(self) -> bool:
        size = self._settings.batch_size
        try:
            pages = self._queue.receive_messages(
                messages_per_page=size, max_messages=size, visibility_timeout=self._invisible_seconds
            )
            messages = list(next(pages.by_page(), ()))
        except ResourceNotFoundError:
            return False
        except AzureError as error:
            log.warning("%s: cannot be read, trying again: %s", self.queue_name, _short(error))
            return False
        for message in messages:
            held = _Held(message, time.monotonic() + self._invisible_seconds / 2)
            with self._changed:
                self._held.add(held)
            try:
                self._begin(held)
            except Exception:
                log.exception("%s: a message could not be handed to %s", self.queue_name, self.function.name)
                self._fail(held)
        return bool(messages)

    def _begin(self, held: _Held) -> None:
        message = held.message
        if (message.dequeue_count or 0) > self._settings.max_dequeue_count:
            log.warning("%s: message %s was tried too often before", self.queue_name, message.id)
            self._settle(held, self._move_to_poison)
            return
        body = _decoded(str(message.content), self._settings.message_encoding)
        if body is None:
            log.error("%s: message %s is not base64; see messageEncoding in host.json", self.queue_name, message.id)
            self._settle(held, self._move_to_poison)
            return
        self._invoker.start(
            self.function,
            queue_argument(self.function, body, _metadata(message)),
            lambda outcome: self._done(held, outcome),
            f"queue {self.queue_name}, message {message.id}, delivery {message.dequeue_count}",
        )

    def _done(self, held: _Held, outcome: Outcome) -> None:
        if outcome.error is None:
            self._settle(held, self._delete)
        else:
            self._fail(held)

    def _fail(self, held: _Held) -> None:
        if self._poison is None or (held.message.dequeue_count or 0) >= self._settings.max_dequeue_count:
            self._settle(held, self._move_to_poison)
        else:
            self._settle(held, lambda one: self._show_again(one, self._settings.visibility_timeout_seconds))

    def _settle(self, held: _Held, action: Callable[[_Held], None]) -> None:
        """Do the last thing with a message, once, and make room for another."""
        with held.lock:
            if not held.settled:
                held.settled = True
                try:
                    action(held)
                except AzureError as error:
                    log.warning(
                        "%s: message %s could not be settled and will come again: %s",
                        self.queue_name,
                        held.message.id,
                        _short(error),
                    )
        with self._changed:
            self._held.discard(held)
            self._changed.notify_all()

    def _delete(self, held: _Held) -> None:
        self._queue.delete_message(held.message)

    def _show_again(self, held: _Held, seconds: float) -> None:
        try:
            self._queue.update_message(held.message, visibility_timeout=round(seconds))
        except ResourceNotFoundError:
            log.info("%s: message %s is gone already", self.queue_name, held.message.id)

    def _move_to_poison(self, held: _Held) -> None:
        if self._poison is None:
            # As in the host: it stays hidden for the rest of its time, which prevents a fast endless loop.
            return
        try:
            self._poison.send_message(held.message.content)
        except ResourceNotFoundError:
            try:
                self._poison.create_queue()
            except ResourceExistsError:
                log.debug("%s was made by another", self._poison.queue_name)
            self._poison.send_message(held.message.content)
        self._delete(held)
        log.error("%s: message %s moved to %s", self.queue_name, held.message.id, self._poison.queue_name)


def encode_message(body: bytes, encoding: MessageEncoding) -> str:
    """The text of a message, as an output binding writes it."""
    return base64.b64encode(body).decode("ascii") if encoding is MessageEncoding.BASE64 else body.decode("utf-8")


def _decoded(text: str, encoding: MessageEncoding) -> bytes | None:
    """The body of a message; None when it is not written in the host's encoding."""
    if encoding is MessageEncoding.NONE:
        return text.encode("utf-8")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _metadata(message: QueueMessage) -> dict[str, Any]:
    return {
        "Id": message.id,
        "PopReceipt": message.pop_receipt,
        "DequeueCount": message.dequeue_count,
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }


def _short(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
