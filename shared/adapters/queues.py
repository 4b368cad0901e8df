"""Hints to the functions' queues, written as Event Grid writes them."""

from typing import TYPE_CHECKING, Self

from azure.core.exceptions import AzureError, ClientAuthenticationError, ResourceNotFoundError
from azure.storage.queue import QueueServiceClient, TextBase64EncodePolicy

from shared.errors import PermanentError, TransientError
from shared.formats.events import hint_event
from shared.naming import BlobRef, Queue

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


class HintQueues:
    """Sends hints to storage queues; implements the port `HintSender`.

    The message text is base64, as Event Grid writes it and the Functions host expects it (the client's own
    default is plain text). A queue must exist already: deployment makes it.

    Args:
        service: Client of the data account's queue service; it is shared, not closed.
    """

    def __init__(self, service: QueueServiceClient) -> None:
        self._service = service

    @classmethod
    def connect(
        cls,
        connection_string: str | None = None,
        queue_uri: str | None = None,
        credential: "TokenCredential | None" = None,
    ) -> Self:
        """Connect by connection string (local) or by endpoint and identity (cloud).

        Raises:
            PermanentError: When neither is given.
        """
        if connection_string:
            return cls(QueueServiceClient.from_connection_string(connection_string))
        if not queue_uri:
            raise PermanentError("No queue endpoint: set a connection string or NAME__queueServiceUri.")
        return cls(QueueServiceClient(queue_uri, credential=credential))

    def send(self, queue: Queue, ref: BlobRef) -> None:
        """Say that a blob is there.

        Raises:
            PermanentError: The queue does not exist, or this identity may not write to it.
            TransientError: The service did not answer or refused for now.
        """
        self.send_text(queue, hint_event(str(ref.container), ref.name))

    def send_text(self, queue: str, text: str) -> None:
        """Send a message text to a queue by name; errors as for `send`."""
        client = self._service.get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())
        try:
            client.send_message(text)
        except ResourceNotFoundError as error:
            raise PermanentError(
                f"Queue {queue} does not exist at {self._service.url}. Deploy the infrastructure again, or "
                "start the local stack, which create it."
            ) from error
        except ClientAuthenticationError as error:
            raise PermanentError(
                f"Not allowed to write to queue {queue} at {self._service.url}. The app's identity needs the "
                "role Storage Queue Data Message Sender (or Contributor) on the account."
            ) from error
        except AzureError as error:
            raise TransientError(f"Sending a hint to queue {queue} failed for now: {error}") from error
