"""One analysis that the tests of the loop bring on, and what others leave of it."""

from typing import Any

from shared import naming
from shared.domain.plan import Plan
from shared.domain.work import AlignWork, ChunkKey, Stage, Work
from shared.naming import MarkerRef
from shared.reconciler import Reconciler
from tests.drops import app_settings, file_aligned
from tests.factories import make_failure, make_plan
from tests.fakes import World

PLAN = make_plan(groups=("L1", "L2"))
SHARDS = len(PLAN.shards)
C = ChunkKey
ALIGN = AlignWork(C("L1", 0))


def reconciler(world: World, **settings: Any) -> Reconciler:
    return Reconciler(world.services, app_settings(**settings))


def on(world: World, stage: Stage, *, is_last_try: bool = False, plan: Plan = PLAN, **where: Any) -> list[Any]:
    return reconciler(world).on_marker(MarkerRef(plan.analysis, stage, **where), is_last_try=is_last_try)


def file_failure(world: World, work: Work, **values: Any) -> None:
    record = make_failure(PLAN, work, **values)
    world.blobs.create(naming.failure_record(PLAN.analysis, record.work, record.attempt), record.to_json())


def file_called(world: World) -> None:
    for group in ("L1", "L2"):
        file_aligned(world, PLAN, group, 1)
    for shard in range(SHARDS):
        world.blobs.create(naming.called_marker(PLAN.analysis, shard), b"{}")


def file_result(world: World, *stages: Stage) -> None:
    for stage in stages:
        world.blobs.create(naming.result_marker(PLAN.sample, PLAN.analysis, stage), b"{}")
