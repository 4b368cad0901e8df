"""Containers and queues of the local stack: what the bicep makes in the cloud."""

from contextlib import suppress

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.naming import Container, Queue

COMPLETED_QUEUE = "completed"
"""A subscriber's queue: the relay puts the notices of the custom topic there."""


def make_storage(connection: str) -> None:
    """Make what is missing; what is there stays."""
    blobs = BlobServiceClient.from_connection_string(connection)
    for container in Container:
        with suppress(ResourceExistsError):
            blobs.create_container(container)
    queues = QueueServiceClient.from_connection_string(connection)
    for queue in [*Queue, COMPLETED_QUEUE]:
        with suppress(ResourceExistsError):
            queues.create_queue(queue)
