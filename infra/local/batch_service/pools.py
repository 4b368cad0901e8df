"""Operations on pools."""

from __future__ import annotations

from datetime import datetime

from infra.local.batch_service import validate
from infra.local.batch_service.book import Book
from infra.local.batch_service.model import Node, Pool, State
from infra.local.batch_service.wire import JsonObject, WireError, utc_text


def create(book: Book, document: object, now: datetime) -> Pool:
    """Create a pool with its nodes at once.

    Raises:
        WireError: PoolExists, or what is wrong with the document.
    """
    spec = validate.pool(document)
    key = str(spec["id"]).lower()
    if key in book.pools:
        raise WireError("PoolExists")
    dedicated = int(spec.get("targetDedicatedNodes") or 0)
    if spec.get("enableAutoScale"):
        # A formula speaks of cores that come and go; this machine's do not.
        dedicated = book.default_nodes
    pool = Pool(
        spec=spec,
        sequence=book.next_sequence(),
        created=utc_text(now),
        dedicated=dedicated,
        spot=int(spec.get("targetLowPriorityNodes") or 0),
        allocated=utc_text(now),
    )
    pool.enter(State.ACTIVE, now)
    pool.nodes = [Node(id=node_id) for node_id in pool.wanted_nodes()]
    book.pools[key] = pool
    for entry in book.jobs.values():
        if entry.job.pool_key == key:
            entry.unpark()  # its nodes may be larger than those of the pool that had this name before
    book.save(pool)
    return pool


def resize(book: Book, pool: Pool, document: object, now: datetime) -> None:
    """Change the number of nodes; tasks on nodes that leave are requeued unless the request says otherwise.

    Raises:
        WireError: PoolBeingDeleted, PoolBeingResized, or what is wrong with the document.
    """
    spec = validate.resize(document)
    _refuse_deleting(pool)
    if any(node.leaving for node in pool.nodes):
        raise WireError("PoolBeingResized")
    if spec.get("targetDedicatedNodes") is None and spec.get("targetLowPriorityNodes") is None:
        raise WireError("MissingRequiredProperty", PropertyName="targetDedicatedNodes")
    pool.dedicated = int(spec.get("targetDedicatedNodes") or 0)
    pool.spot = int(spec.get("targetLowPriorityNodes") or 0)
    book.resize(pool, str(spec.get("nodeDeallocationOption") or "requeue"), now)


def delete(book: Book, pool: Pool, now: datetime) -> None:
    """Begin to delete a pool; its running tasks are requeued and wait for another pool of that id.

    Raises:
        WireError: PoolBeingDeleted.
    """
    _refuse_deleting(pool)
    pool.dedicated = pool.spot = 0
    pool.enter(State.DELETING, now)
    book.resize(pool, "requeue", now)
    book.drop_pool(pool)


def _refuse_deleting(pool: Pool) -> None:
    if pool.state is State.DELETING:
        raise WireError("PoolBeingDeleted")


def node_document(pool: Pool, node: Node, base_url: str) -> JsonObject:
    """Return a node as a client sees it."""
    return {
        "id": node.id,
        "url": f"{base_url}/pools/{pool.id}/nodes/{node.id}",
        "state": "leavingpool" if node.leaving else "running" if node.used else "idle",
        "schedulingState": "enabled",
        "stateTransitionTime": pool.allocated,
        "lastBootTime": pool.allocated,
        "allocationTime": pool.created,
        "ipAddress": "127.0.0.1",
        "affinityId": f"TVM:{node.id}",
        "vmSize": pool.spec["vmSize"],
        "runningTaskSlotsCount": node.used,
        "isDedicated": node.is_dedicated,
    }
