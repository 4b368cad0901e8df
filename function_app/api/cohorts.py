"""Cohorts over HTTP: POST /api/cohorts asks for one, GET /api/cohorts and /api/cohorts/{id or name} tell of them."""

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer, problem
from shared.errors import PermanentError
from shared.settings import app_settings
from shared.steps.cohort import CohortConflictError, take_cohort
from shared.steps.cohort_status import cohort_status, list_cohorts

blueprint = func.Blueprint()


@blueprint.function_name("post-cohort")
@blueprint.route(route="cohorts", methods=["POST"])
def post_cohort(req: func.HttpRequest) -> func.HttpResponse:
    """201 when the cohort was filed, 200 when it lay there already, 409 and 422 with the reason."""
    replace = (req.params.get("replace") or "").lower() in {"true", "1"}
    try:
        cohort, is_new = take_cohort(req.get_body(), bootstrap.services(), replace_it=replace)
    except CohortConflictError as error:
        return problem(409, "Another cohort is there", str(error))
    except PermanentError as error:
        return problem(422, "The cohort is not valid", str(error))
    return json_answer({"cohort": cohort, "status": f"/api/cohorts/{cohort}"}, 201 if is_new else 200)


@blueprint.function_name("list-cohorts")
@blueprint.route(route="cohorts", methods=["GET"])
def get_cohorts(req: func.HttpRequest) -> func.HttpResponse:
    """All cohorts with their state; `?state=` narrows the list."""
    state = req.params.get("state")
    found = [cohort for cohort in _cohorts() if not state or cohort["state"] == state]
    return json_answer({"cohorts": found})


@blueprint.function_name("get-cohort")
@blueprint.route(route="cohorts/{cohort}", methods=["GET"])
def get_cohort(req: func.HttpRequest) -> func.HttpResponse:
    """One cohort by its id, with failures and results; or all of a name."""
    given = req.route_params.get("cohort", "")
    status = cohort_status(given, bootstrap.services().blobs)
    if status is not None:
        return json_answer(status)
    if found := _cohorts(given):
        return json_answer({"cohorts": found})
    return problem(404, "No such cohort", "GET /api/cohorts lists the cohorts and their ids.")


def _cohorts(cohort: str | None = None) -> list[dict[str, object]]:
    settings = app_settings()
    blobs = bootstrap.services().blobs
    return list(list_cohorts(blobs, settings.cohort_settings, settings.shard_bp, cohort=cohort))
