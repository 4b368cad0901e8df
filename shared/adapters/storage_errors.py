"""Translation of the Azure SDK's errors into the two kinds of failure."""

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)

from shared.errors import PermanentError, TransientError

_PERMANENT_STATUS = frozenset({400, 404, 413})
"""Answers that a repetition cannot change. Denied access is not among them: a role that is missing or not yet in force
is mended by the operator while the analysis waits."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the SDK raises in the block into PermanentError or TransientError.

    Args:
        what: The operation and its object for the message, such as ``read work/abc/plan.json``.
    """
    try:
        yield
    except ResourceNotFoundError as error:
        raise PermanentError(f"Could not {what}: it is not there ({error.reason or 'not found'}).") from error
    except HttpResponseError as error:
        status = error.status_code
        if isinstance(error, ClientAuthenticationError) or status in {401, 403}:
            raise TransientError(
                f"Could not {what}: access denied. Check the roles of the managed identity or the connection string."
            ) from error
        kind = PermanentError if status in _PERMANENT_STATUS else TransientError
        code = getattr(error, "error_code", None) or error.reason
        raise kind(f"Could not {what}: the service answered {status} {code}.") from error
    except AzureError as error:
        raise TransientError(f"Could not {what}: the service was not reached ({type(error).__name__}).") from error
