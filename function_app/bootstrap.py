"""Settings and adapters of the function app, built once and lazily: the only place where they are chosen."""

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from shared.ports import Notice, Publisher, Services
from shared.settings import AppSettings, app_settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from shared.reconciler import Reconciler


@cache
def reconciler() -> "Reconciler":
    """The reconciler of this process."""
    from shared.reconciler import Reconciler

    return Reconciler(services(), app_settings())


@cache
def services() -> Services:
    """The adapters of this process, as the settings choose them."""
    return build_services(app_settings())


def build_services(settings: AppSettings) -> Services:
    """Choose the adapters: by connection strings and keys locally, by identity in the cloud."""
    from shared.adapters.batch import AzureBatch, ContainerImage
    from shared.adapters.blobs import AzureBlobs
    from shared.adapters.delta import DeltaLake
    from shared.adapters.fhir_server import FhirServer
    from shared.adapters.identity import sign_in
    from shared.adapters.queues import HintQueues

    credential = None if settings.data_connection else sign_in(settings.identity_client_id)
    return Services(
        blobs=AzureBlobs.connect(settings.data_connection, settings.data_blob_uri, credential),
        tasks=AzureBatch.connect(
            settings.batch_endpoint,
            settings.batch_pool,
            account=settings.batch_account,
            key=settings.batch_key,
            client_id=settings.identity_client_id,
            environment=settings.worker_environment,
            image=ContainerImage(settings.batch_worker_image, settings.worker_run_options)
            if settings.batch_worker_image
            else None,
        ),
        hints=HintQueues.connect(settings.data_connection, settings.data_queue_uri, credential),
        fhir=FhirServer(str(settings.fhir_url), credential, settings.fhir_audience),
        lake=DeltaLake.connect(
            connection_string=settings.lake_connection, blob_uri=settings.lake_blob_uri, credential=credential
        ),
        publisher=_publisher(settings, credential),
        clock=lambda: datetime.now(UTC),
    )


def _publisher(settings: AppSettings, credential: "TokenCredential | None") -> Publisher:
    if not settings.completed_topic_endpoint:
        return _NoPublisher()
    from shared.adapters.events import EventPublisher

    return EventPublisher(
        settings.completed_topic_endpoint, key=settings.completed_topic_key or None, credential=credential
    )


class _NoPublisher:
    """Stands in where no topic is configured."""

    def publish(self, notice: Notice) -> None:
        """Drop the notice."""
