"""The shards are gathered: annotate the variants."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("annotate")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.ANNOTATE, connection=DATA_CONNECTION)
def annotate(message: func.QueueMessage) -> None:
    """Annotate and interpret the gathered variants."""
    look_again(message)
