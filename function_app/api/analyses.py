"""GET /api/analyses and GET /api/analyses/{id}: what runs, how far it is, and where the results are."""

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer, problem
from shared.steps.status import analysis_status, list_statuses

blueprint = func.Blueprint()


@blueprint.function_name("list-analyses")
@blueprint.route(route="analyses", methods=["GET"])
def list_analyses(req: func.HttpRequest) -> func.HttpResponse:
    """All analyses with stage and counts; `?sample=` and `?stage=` narrow the list."""
    sample, stage = req.params.get("sample"), req.params.get("stage")
    statuses = [
        status
        for status in list_statuses(bootstrap.services().blobs)
        if (not sample or status["sample"] == sample) and (not stage or status["stage"] == stage)
    ]
    return json_answer({"analyses": statuses})


@blueprint.function_name("get-analysis")
@blueprint.route(route="analyses/{analysis}", methods=["GET"])
def get_analysis(req: func.HttpRequest) -> func.HttpResponse:
    """One analysis with stage, counts, failures, and the names of its results."""
    analysis = req.route_params.get("analysis", "")
    status = analysis_status(analysis, bootstrap.services().blobs)
    if status is None:
        return problem(404, "No such analysis", "GET /api/analyses lists the analyses and their ids.")
    return json_answer(status)
