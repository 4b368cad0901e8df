"""A plan or a split checkpoint was written: split its FASTQ pair into chunks."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("split")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.SPLIT, connection=DATA_CONNECTION)
def split(message: func.QueueMessage) -> None:
    """Open the splits of a new plan, or split one read group until done or out of time."""
    look_again(message)
