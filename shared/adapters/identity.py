"""The identity that this process signs in with where no connection string or key is set."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def sign_in(client_id: str | None = None) -> "TokenCredential":
    """The managed identity in the cloud, `az login` on a developer's machine.

    Args:
        client_id: Client id of a user-assigned identity; None for the system's.
    """
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=client_id)
