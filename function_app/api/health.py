"""GET /api/health: whether the services that the chain needs answer."""

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer
from shared.steps.status import check_services

blueprint = func.Blueprint()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 when storage, Batch and the FHIR service answer, 503 with the reasons otherwise."""
    del req
    faults = check_services(bootstrap.services())
    return json_answer({"healthy": not faults, "faults": faults}, 503 if faults else 200)
