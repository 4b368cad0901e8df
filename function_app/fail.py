"""A failure was recorded: retry what is transient, stop what is permanent."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("fail")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.FAIL, connection=DATA_CONNECTION)
def fail(message: func.QueueMessage) -> None:
    """Let the retry policy decide on a failed unit of work."""
    look_again(message)
