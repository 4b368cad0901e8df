"""Take an order over HTTP: check it and put it where an uploaded one would lie; that blob's event does the rest."""

from enum import Enum, unique

from shared import naming
from shared.domain.order import Order, read_json, validated
from shared.domain.reads import is_sample_name
from shared.errors import PermanentError
from shared.ports import Services
from shared.steps.basis import read_manifest
from shared.steps.landing import MAX_ORDER_BYTES


@unique
class Taken(Enum):
    """What became of an order."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"


class OrderConflictError(PermanentError):
    """Another order lies in the sample's folder, or the folder is a run's."""


def take_order(data: bytes, services: Services, *, replace: bool = False) -> tuple[Order, Taken]:
    """File an order as `landing/{sample}/order.json`.

    The same order again changes nothing, so that a request whose answer was lost may be repeated.

    Args:
        data: The body: an order as JSON.
        services: The outside world.
        replace: Upload it whatever lies there: for a corrected order, and to have files that came later analysed too.

    Raises:
        OrderConflictError: When something else lies there.
        PermanentError: When the order is not valid, or its reference bundle is not installed.
    """
    if len(data) > MAX_ORDER_BYTES:
        raise PermanentError(f"The order has {len(data):,} bytes; an order has at most {MAX_ORDER_BYTES:,}.")
    value = read_json(data, "SAMPLE/order.json")
    given = value.get("sample") if isinstance(value, dict) else None
    named = given if isinstance(given, str) and is_sample_name(given) else "SAMPLE"
    order = validated(Order, value, f"{named}/order.json")
    read_manifest(order.reference, services.blobs)
    blobs = services.blobs
    ref = naming.order_blob(order.sample)
    for sheet in naming.sheet_blobs(order.sample):
        if blobs.facts(sheet) is not None:
            raise OrderConflictError(
                f"{sheet} makes landing/{order.sample}/ the folder of a run, whose order.json is the template of its "
                "samples' orders. Give the sample another name, or add it to the sample sheet."
            )
    if blobs.create(ref, order.to_json()):
        return order, Taken.CREATED
    if replace:
        with blobs.writer(ref) as stream:
            stream.write(order.to_json())
        return order, Taken.REPLACED
    if _is_same(blobs.find(ref), order, ref.name):
        return order, Taken.UNCHANGED
    raise OrderConflictError(
        f"{ref} is there and is another order. Send it with `?replace=true` to replace that one: the analysis that it "
        "began goes on, and a new one follows it."
    )


def _is_same(data: bytes | None, order: Order, name: str) -> bool:
    if data is None:
        return False
    try:
        return validated(Order, read_json(data, name), name) == order
    except PermanentError:
        return False
