"""A blob landed: look whether its sample's drop is complete."""

import logging

import azure.functions as func

from function_app import bootstrap
from shared import naming
from shared.formats.events import parse_blob_created
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

log = logging.getLogger(__name__)
blueprint = func.Blueprint()


@blueprint.function_name("ingest")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.INGEST, connection=DATA_CONNECTION)
def ingest(message: func.QueueMessage) -> None:
    """Start an analysis when its files and its order are there."""
    event = parse_blob_created(message.get_body())
    sample = naming.landing_sample(event.name) if event else None
    if sample is None:
        log.info("blob outside the folders of samples; ignored")
        return
    bootstrap.reconciler().on_landing(sample)
