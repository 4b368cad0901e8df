"""A job with its tasks and the queue of those that may run."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.local.batch_service.model import Job, State, Task


@dataclass(slots=True)
class JobEntry:
    """A job with its tasks and its queue.

    Attributes:
        tasks: By key, in order of creation.
        queue: Heap of (sequence, key) of tasks that may run; entries may be stale.
        parked: Keys of active tasks that wait for others, or for a pool with larger nodes.
        running: Keys of tasks with a run.
    """

    job: Job
    tasks: dict[str, Task] = field(default_factory=dict)
    queue: list[tuple[int, str]] = field(default_factory=list)
    parked: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)

    def enqueue(self, task: Task) -> None:
        """Let an active task run when there is room, in order of creation."""
        heapq.heappush(self.queue, (task.sequence, task.key))

    def unpark(self) -> None:
        """Look at all waiting tasks again."""
        for key in self.parked:
            task = self.tasks.get(key)
            if task is not None:
                self.enqueue(task)
        self.parked.clear()

    def next_task(self, slots_per_node: int, busy: Callable[[str], bool]) -> Task | None:
        """Return the first task that may run, still queued; park those that may not yet."""
        while self.queue:
            key = self.queue[0][1]
            task = self.tasks.get(key)
            if task is not None and task.state is State.ACTIVE:
                if not busy(key) and task.slots <= slots_per_node and self._unblocked(task):
                    return task
                self.parked.add(key)
            heapq.heappop(self.queue)
        return None

    def _unblocked(self, task: Task) -> bool:
        depends = task.spec.get("dependsOn")
        if not depends:
            return True
        wanted = {str(task_id).lower() for task_id in depends.get("taskIds") or ()}
        for span in depends.get("taskIdRanges") or ():
            wanted.update(str(number) for number in range(span["start"], span["end"] + 1))
        return all(key in self.tasks and self.tasks[key].unblocks for key in wanted)
