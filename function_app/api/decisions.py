"""POST /api/analyses/{id}/release, /reject and /retry: what an operator decides on a held or a failed analysis."""

import logging
from collections.abc import Callable
from functools import partial

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer, problem
from shared.domain.ids import Document
from shared.domain.markers import Decision
from shared.errors import PermanentError
from shared.steps.decide import DecisionConflictError, UnknownAnalysisError, decide, parse_request, retry

log = logging.getLogger(__name__)
blueprint = func.Blueprint()


@blueprint.function_name("release-analysis")
@blueprint.route(route="analyses/{analysis}/release", methods=["POST"])
def release(req: func.HttpRequest) -> func.HttpResponse:
    """Release a held analysis: its results are delivered as final."""
    return _answer(req, partial(decide, decision=Decision.RELEASED))


@blueprint.function_name("reject-analysis")
@blueprint.route(route="analyses/{analysis}/reject", methods=["POST"])
def reject(req: func.HttpRequest) -> func.HttpResponse:
    """Reject a held analysis: its report is cancelled."""
    return _answer(req, partial(decide, decision=Decision.REJECTED))


@blueprint.function_name("retry-analysis")
@blueprint.route(route="analyses/{analysis}/retry", methods=["POST"])
def retry_failed(req: func.HttpRequest) -> func.HttpResponse:
    """Let a failed analysis be tried again."""
    return _answer(req, retry)


def _answer(req: func.HttpRequest, act: Callable[..., Document]) -> func.HttpResponse:
    services = bootstrap.services()
    analysis = req.route_params.get("analysis", "")
    try:
        request = parse_request(req.get_body())
    except PermanentError as error:
        return problem(400, "Not a decision", str(error))
    try:
        done = act(analysis, request, blobs=services.blobs, clock=services.clock)
    except UnknownAnalysisError as error:
        return problem(404, "No such analysis", str(error))
    except DecisionConflictError as error:
        return problem(409, "Not possible now", str(error))
    # Not the reason: it is free text and belongs into no log.
    log.info("analysis %s: %s by request", analysis, req.url.partition("?")[0].rpartition("/")[2])
    return json_answer(done.model_dump(mode="json"))
