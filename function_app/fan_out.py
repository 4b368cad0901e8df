"""A chunk is there or aligned, a shard recalibrated, or a cohort planned: hand the next tasks to Batch."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("fan-out")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.FAN_OUT, connection=DATA_CONNECTION)
def fan_out(message: func.QueueMessage) -> None:
    """Submit the chunk's align task, or the shards' tasks once every chunk is aligned (with GATK: twice)."""
    look_again(message)
