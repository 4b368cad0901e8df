"""What the queue-triggered functions have in common: an event in, one look by the reconciler, done."""

import logging

import azure.functions as func

from function_app import bootstrap
from shared import naming
from shared.formats.events import parse_blob_created
from shared.settings import QUEUE_MAX_TRIES

log = logging.getLogger(__name__)


def look_again(message: func.QueueMessage) -> None:
    """Act on the marker that an event names; other blobs are none of the chain's business.

    Raises:
        PipelineError: What could not be done for now; the queue delivers the event again.
    """
    event = parse_blob_created(message.get_body())
    marker = naming.parse_marker(event.container, event.name) if event else None
    if marker is None:
        log.info("no marker in this event; ignored")
        return
    is_last_try = (message.dequeue_count or 1) >= QUEUE_MAX_TRIES
    actions = bootstrap.reconciler().on_marker(marker, is_last_try=is_last_try)
    log.info("analysis %s: after %s: %d actions", marker.analysis, marker.stage, len(actions))
