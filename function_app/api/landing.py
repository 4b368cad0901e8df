"""GET /api/landing: what was dropped, and what each drop is waiting for."""

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer
from shared.settings import app_settings
from shared.steps.status import list_drops

blueprint = func.Blueprint()


@blueprint.function_name("list-drops")
@blueprint.route(route="landing", methods=["GET"])
def list_landing(req: func.HttpRequest) -> func.HttpResponse:
    """All drops; `?folder=` shows those of one folder, `?sample=` those of one sample."""
    settings = app_settings()
    drops = list_drops(
        bootstrap.services(),
        settings.result_settings,
        settings.layout,
        folder=req.params.get("folder"),
        sample=req.params.get("sample"),
    )
    return json_answer({"drops": drops})
