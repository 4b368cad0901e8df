"""A local host for Azure Functions apps of the Python v2 model, with the real host's rules.

It imports and indexes an app as the Python worker does, refuses what the host would drop, and runs queue,
timer and HTTP triggers. `func start` can take its place.
"""

from infra.local.functions_host.service import add_arguments, run

__all__ = ["add_arguments", "run"]
