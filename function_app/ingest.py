"""A blob landed: look whether a drop of its folder, or a cohort, is complete."""

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
    folder = naming.landing_folder(event.name) if event else None
    if event is None or folder is None:
        log.info("blob outside the folders of drops; ignored")
        return
    bootstrap.reconciler().on_landing(folder, about=event.name)
