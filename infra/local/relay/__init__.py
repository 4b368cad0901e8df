"""The local Event Grid: new blobs in Azurite become BlobCreated events in the queues of `subscriptions.json`.

`access_log` reads what was written, `delivery` sends (and, for tests, loses, doubles and delays), `topic` is the
custom topic for published notices, `service` ties them together.
"""

from infra.local.relay.service import add_arguments, run

__all__ = ["add_arguments", "run"]
