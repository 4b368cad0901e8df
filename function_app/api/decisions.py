"""POST /api/analyses/{id}/release and /reject: what becomes of a sample that missed its quality limits."""

import logging

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer, problem
from shared.domain.markers import Decision
from shared.errors import PermanentError
from shared.steps.decide import DecisionConflictError, UnknownAnalysisError, decide, parse_request

log = logging.getLogger(__name__)
blueprint = func.Blueprint()


@blueprint.function_name("release-analysis")
@blueprint.route(route="analyses/{analysis}/release", methods=["POST"])
def release(req: func.HttpRequest) -> func.HttpResponse:
    """Release a held analysis: its results are delivered as final."""
    return _answer(req, Decision.RELEASED)


@blueprint.function_name("reject-analysis")
@blueprint.route(route="analyses/{analysis}/reject", methods=["POST"])
def reject(req: func.HttpRequest) -> func.HttpResponse:
    """Reject a held analysis: its report is cancelled."""
    return _answer(req, Decision.REJECTED)


def _answer(req: func.HttpRequest, decision: Decision) -> func.HttpResponse:
    services = bootstrap.services()
    analysis = req.route_params.get("analysis", "")
    try:
        request = parse_request(req.get_body())
        decided = decide(analysis, decision, request, services.blobs, services.clock)
    except UnknownAnalysisError as error:
        return problem(404, "No such analysis", str(error))
    except DecisionConflictError as error:
        return problem(409, "Not possible now", str(error))
    except PermanentError as error:
        return problem(400, "Not a decision", str(error))
    log.info("analysis %s: %s", decided.analysis, decided.decision)  # the reason is for the report, not for the log
    return json_answer(decided.model_dump(mode="json"))
