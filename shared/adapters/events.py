"""Notices to subscribers, published as CloudEvents to a custom Event Grid topic."""

from types import TracebackType
from typing import Self

from azure.core.credentials import AzureKeyCredential, TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from shared.errors import PermanentError, TransientError
from shared.ports import Notice

SOURCE = "urn:fastq2fhir"
"""Source of every published notice; with its id it tells a repeated notice from a new one."""

_RETRYABLE = frozenset({408, 429})  # and every 5xx: the service asks to try again


class EventPublisher:
    """Publishes notices to a custom topic; implements the port `Publisher`.

    Args:
        endpoint: The topic's endpoint, for example ``https://NAME.REGION.eventgrid.azure.net/api/events``.
        key: Access key of the topic (local stack); None uses the credential.
        credential: Identity with the role EventGrid Data Sender; None with a key, else
        DefaultAzureCredential.

    Raises:
        PermanentError: The endpoint is no URL.
    """

    def __init__(self, endpoint: str, *, key: str | None = None, credential: TokenCredential | None = None) -> None:
        if not endpoint.startswith(("https://", "http://")):
            raise PermanentError(
                f"The topic endpoint {endpoint!r} is no URL. Set it to the topic's endpoint, which begins "
                "with https://."
            )
        self._endpoint = endpoint
        self._client = EventGridPublisherClient(endpoint, _credential(key, credential))

    def publish(self, notice: Notice) -> None:
        """Publish; a subscriber may see a notice more than once, with the same id.

        Raises:
            PermanentError: The topic refuses the event, its key or this identity, or does not exist.
            TransientError: The service did not answer or asks to try again.
        """
        event: CloudEvent[dict[str, object]] = CloudEvent(
            source=SOURCE,
            type=notice.type,
            subject=notice.subject,
            id=notice.id,
            time=notice.time,
            data=dict(notice.data),
        )
        try:
            self._client.send(event)
        except ClientAuthenticationError as error:
            raise PermanentError(
                f"The topic {self._endpoint} refuses the key or identity. It needs the role EventGrid Data "
                "Sender, or the topic's current key."
            ) from error
        except ResourceNotFoundError as error:
            raise PermanentError(
                f"There is no topic at {self._endpoint}. Check the endpoint setting against the deployment."
            ) from error
        except HttpResponseError as error:
            status = error.status_code
            if status is not None and 400 <= status < 500 and status not in _RETRYABLE:
                raise PermanentError(
                    f"The topic {self._endpoint} refuses notice {notice.id} ({status}): {error.message}"
                ) from error
            raise TransientError(f"Publishing notice {notice.id} failed for now: {error.message}") from error
        except AzureError as error:
            raise TransientError(f"Publishing notice {notice.id} failed for now: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _credential(key: str | None, credential: TokenCredential | None) -> AzureKeyCredential | TokenCredential:
    if key:
        return AzureKeyCredential(key)
    if credential is not None:
        return credential
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
