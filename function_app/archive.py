"""The results are delivered, or a cohort is joined: put away what is no longer needed."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("archive")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.ARCHIVE, connection=DATA_CONNECTION)
def archive(message: func.QueueMessage) -> None:
    """Archive the inputs and delete intermediate data; wake the cohorts that waited for the sample."""
    look_again(message)
