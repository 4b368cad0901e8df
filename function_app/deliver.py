"""The variants are annotated: deliver report, lake rows and FHIR bundle."""

import azure.functions as func

from function_app.hints import look_again
from shared.naming import Queue
from shared.settings import DATA_CONNECTION

blueprint = func.Blueprint()


@blueprint.function_name("deliver")
@blueprint.queue_trigger(arg_name="message", queue_name=Queue.DELIVER, connection=DATA_CONNECTION)
def deliver(message: func.QueueMessage) -> None:
    """Deliver the results to the EHR, the lake and the clinician."""
    look_again(message)
