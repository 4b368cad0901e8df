"""The pool's autoscale formula, run with samples of our own."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infra.bicep_reader import read_bicep

BATCH = read_bicep(Path(__file__).parents[3] / "infra" / "modules" / "batch.bicep")
FORMULA: str = BATCH.value("autoscaleFormula")
TASK_SLOTS, NODE_CORES, MAX_DEDICATED, MAX_SPOT = 4, 16, 4, 3


def test_the_formula_is_filled_in_the_order_that_these_tests_use() -> None:
    scale = BATCH.resource("pool").body["properties"]["scaleSettings"]["autoScale"]
    assert scale["formula"].text == "format(autoscaleFormula, taskSlots, nodeCores, maxDedicatedNodes, maxSpotNodes)"
    assert BATCH.resource("pool").body["properties"]["taskSlotsPerNode"].text == "nodeCores"


@pytest.mark.parametrize(
    ("pending", "preempted", "nodes"),
    [
        (0, 0, (0, 0)),  # nothing to do: the pool is empty
        (0, 3, (0, 0)),  # preempted nodes bring no idle ones
        (1, 0, (1, 0)),
        (4, 0, (1, 0)),  # four tasks of four slots fill one node of sixteen cores
        (5, 0, (2, 0)),
        (8, 2, (2, 2)),  # both spot nodes were taken away: dedicated ones stand in
        (8, 9, (2, 2)),  # never more than the work needs
        (400, 0, (3, 4)),  # both limits hold
    ],
)
def test_the_pool_grows_with_the_work_replaces_preempted_nodes_and_shrinks_to_zero(
    pending: int, preempted: int, nodes: tuple[int, int]
) -> None:
    formula = FORMULA.format(TASK_SLOTS, NODE_CORES, MAX_DEDICATED, MAX_SPOT)
    spot, dedicated = run_formula(formula, {"$PendingTasks": pending, "$PreemptedNodeCount": preempted})
    assert (int(spot), int(dedicated)) == nodes


def test_the_pool_survives_a_moment_without_samples() -> None:
    formula = FORMULA.format(TASK_SLOTS, NODE_CORES, MAX_DEDICATED, MAX_SPOT)
    assert run_formula(formula, {}) == (0, 0)


def test_nodes_leave_only_after_their_tasks() -> None:
    assert "$NodeDeallocationOption = taskcompletion;" in FORMULA


class Samples:
    """Samples of one variable, as the formula language offers them; all equal, or none at all."""

    def __init__(self, value: float | None) -> None:
        self.value = value

    def GetSamplePercent(self, _window: float) -> float:  # noqa: N802 - Azure's name
        return 0 if self.value is None else 100

    def GetSample(self, _window: float) -> float:  # noqa: N802 - Azure's name
        assert self.value is not None, "a formula that asks for a sample where there is none fails"
        return self.value


def run_formula(formula: str, samples: dict[str, float]) -> tuple[float, float]:
    """Evaluate the subset of Azure Batch's autoscale language that our formula uses; (spot, dedicated) targets."""
    scope: dict[str, Any] = {
        "PendingTasks": Samples(samples.get("$PendingTasks")),
        "PreemptedNodeCount": Samples(samples.get("$PreemptedNodeCount")),
        "TimeInterval_Minute": 60,
        "avg": lambda value: value,
        "max": max,
        "min": min,
        "taskcompletion": "taskcompletion",
    }
    for statement in formula.replace("$", "").split(";"):
        if not statement.strip():
            continue
        name, expression = statement.split("=", 1)
        if match := re.fullmatch(r"(.+?)\?(.+):(.+)", expression, flags=re.DOTALL):
            expression = f"({match[2]}) if ({match[1]}) else ({match[3]})"
        scope[name.strip()] = eval(expression.strip(), {"__builtins__": {}}, scope)  # noqa: S307 - our own file
    return scope["TargetLowPriorityNodes"], scope["TargetDedicatedNodes"]
