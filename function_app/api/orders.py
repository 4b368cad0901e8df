"""POST /api/orders: an order over HTTP, before its files or after them."""

import azure.functions as func

from function_app import bootstrap
from function_app.api.answers import json_answer, problem
from shared.errors import PermanentError
from shared.steps.orders import OrderConflictError, Taken, take_order

blueprint = func.Blueprint()


@blueprint.function_name("post-order")
@blueprint.route(route="orders", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def post_order(req: func.HttpRequest) -> func.HttpResponse:
    """201 when the order was filed, 200 when it lay there already or replaced one, 409 and 422 with the reason."""
    replace = (req.params.get("replace") or "").lower() in {"true", "1"}
    try:
        order, taken = take_order(req.get_body(), bootstrap.services(), replace=replace)
    except OrderConflictError as error:
        return problem(409, "Another order is there", str(error))
    except PermanentError as error:
        return problem(422, "The order is not valid", str(error))
    answer = {
        "sample": order.sample,
        "order": f"landing/{order.sample}/order.json",
        "state": taken.value,
        "drop": f"/api/landing?sample={order.sample}",
    }
    return json_answer(answer, 201 if taken is Taken.CREATED else 200)
