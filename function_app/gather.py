"""A shard is called: gather when it was the last."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("gather")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.GATHER, connection=DATA_CONNECTION)
def gather(message: func.QueueMessage) -> None:
    """Check the ledger and concatenate the shards' outputs once every shard is called."""
    look_again(message)
