"""A binding's `connection` setting as a client of the queue service, by the host's rules."""

from azure.core.credentials import TokenCredential
from azure.storage.queue import LinearRetry, QueueServiceClient

from infra.local.azurite import connection_string
from infra.local.functions_host.app_settings import AppSettings
from shared.errors import PermanentError

DEFAULT_CONNECTION = "AzureWebJobsStorage"
_DEVELOPMENT = "usedevelopmentstorage=true"
# The client's own policy waits 15 s at first: a restarted emulator would be noticed a minute late.
_RETRY = LinearRetry(backoff=1, retry_total=2, random_jitter_range=0)


def queue_service(name: str, settings: AppSettings, what: str) -> QueueServiceClient:
    """The client that a connection name stands for.

    The setting `NAME` (or `AzureWebJobsNAME`) is a connection string; `NAME__queueServiceUri` (or
    `NAME__serviceUri`, `NAME__accountName`) names the account for an identity.

    Args:
        name: The binding's connection; empty is AzureWebJobsStorage.
        settings: The app settings.
        what: Whose binding it is, for the error.

    Raises:
        PermanentError: No such setting, or it is unusable.
    """
    name = name or DEFAULT_CONNECTION
    for candidate in (f"AzureWebJobs{name}", name):
        text = settings.get(candidate)
        if text is not None:
            if text.strip().rstrip(";").casefold() == _DEVELOPMENT:
                text = connection_string()
            try:
                return QueueServiceClient.from_connection_string(text, retry_policy=_RETRY)
            except ValueError as error:
                raise PermanentError(
                    f"{what}: the app setting {candidate} is no storage connection string: {error}"
                ) from error
        uri = settings.get(f"{candidate}__queueServiceUri") or settings.get(f"{candidate}__serviceUri")
        account = settings.get(f"{candidate}__accountName")
        if uri is None and account is not None:
            uri = f"https://{account}.queue.core.windows.net"
        if uri is not None:
            identity = _identity(settings.get(f"{candidate}__clientId"))
            return QueueServiceClient(uri, credential=identity, retry_policy=_RETRY)
    raise PermanentError(
        f"{what}: its connection is {name!r}, but there is no app setting {name} (a connection string) and "
        f"no {name}__queueServiceUri. Set one in the environment or in Values of local.settings.json."
    )


def _identity(client_id: str | None) -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    if client_id:
        return DefaultAzureCredential(managed_identity_client_id=client_id)
    return DefaultAzureCredential()
