"""Pools, jobs and tasks as the service keeps them and as the wire shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Any, Self

from infra.local.batch_service.outcome import Outcome, Verdict, exit_options, failure_of
from infra.local.batch_service.wire import (
    DEFAULT_RETENTION,
    NO_LIMIT,
    JsonObject,
    new_etag,
    parse_duration,
    parse_utc,
    utc_text,
)


@unique
class State(StrEnum):
    """States of jobs, pools and tasks, as spelled on the wire."""

    ACTIVE = "active"
    RUNNING = "running"
    COMPLETED = "completed"
    DISABLING = "disabling"
    DISABLED = "disabled"
    TERMINATING = "terminating"
    DELETING = "deleting"


@dataclass(slots=True, kw_only=True)
class Resource:
    """What pools, jobs and tasks have in common.

    Attributes:
        spec: The client's document, in wire names.
        sequence: Number in order of creation, unique in its kind; lists are sorted by it.
        created: Creation time, wire text.
        state: Present state.
        state_time: When it was entered, wire text.
        modified: Last change, wire text.
        etag: Changes with `modified`.
    """

    spec: JsonObject
    sequence: int
    created: str
    state: State = State.ACTIVE
    state_time: str = ""
    previous_state: State | None = None
    previous_state_time: str | None = None
    modified: str = ""
    etag: str = ""

    @property
    def id(self) -> str:
        """The id as the client spelled it; compare `key`, ids are case-insensitive."""
        return str(self.spec["id"])

    @property
    def key(self) -> str:
        """The id in lower case."""
        return self.id.lower()

    def touch(self, now: datetime) -> None:
        """Note a change: new ETag, new time."""
        self.modified = utc_text(now)
        self.etag = new_etag(now)

    def enter(self, state: State, now: datetime) -> None:
        """Change the state, remembering the one before."""
        if self.state_time:
            self.previous_state, self.previous_state_time = self.state, self.state_time
        self.state, self.state_time = state, utc_text(now)
        self.touch(now)

    def dump(self) -> JsonObject:
        """Return everything as plain JSON, for the store."""
        return asdict(self)

    @classmethod
    def load(cls, document: JsonObject) -> Self:
        """Return what `dump` wrote."""
        document = dict(document)
        document["state"] = State(document["state"])
        if document["previous_state"] is not None:
            document["previous_state"] = State(document["previous_state"])
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})

    def head(self, url: str) -> JsonObject:
        """Return the wire properties every resource begins with."""
        document: JsonObject = {
            "id": self.id,
            "url": url,
            "eTag": self.etag,
            "lastModified": self.modified,
            "creationTime": self.created,
            "state": self.state.value,
            "stateTransitionTime": self.state_time,
        }
        if self.previous_state is not None:
            document["previousState"] = self.previous_state.value
            document["previousStateTransitionTime"] = self.previous_state_time
        return document


@dataclass(slots=True, kw_only=True)
class Node:
    """One compute node: so many slots of this machine.

    Attributes:
        id: Node id as in Azure; the ending tells dedicated (-d) from spot (-p).
        used: Slots taken by running tasks.
        leaving: A resize removes it once it is empty.
    """

    id: str
    used: int = 0
    leaving: bool = False

    @property
    def is_dedicated(self) -> bool:
        """False for a spot node."""
        return self.id.endswith("-d")


@dataclass(slots=True, kw_only=True)
class Pool(Resource):
    """A pool; its nodes are slots on this machine.

    Attributes:
        dedicated: Target number of dedicated nodes.
        spot: Target number of spot nodes.
        allocated: When the allocation state last changed, wire text.
    """

    dedicated: int
    spot: int
    allocated: str = ""
    nodes: list[Node] = field(default_factory=list)

    @property
    def slots_per_node(self) -> int:
        """Task slots of each node."""
        return int(self.spec.get("taskSlotsPerNode") or 1)

    @property
    def runs_containers(self) -> bool:
        """Whether tasks may have container settings."""
        machine = self.spec.get("virtualMachineConfiguration") or {}
        return machine.get("containerConfiguration") is not None

    def wanted_nodes(self) -> list[str]:
        """Return the node ids the targets ask for."""
        return [f"tvm-{self.key}-{number}-d" for number in range(self.dedicated)] + [
            f"tvm-{self.key}-{number}-p" for number in range(self.spot)
        ]

    def place(self, slots: int) -> Node | None:
        """Return the emptiest node with room for a task (Batch's default policy spreads), or None."""
        fitting = [node for node in self.nodes if not node.leaving and node.used + slots <= self.slots_per_node]
        return min(fitting, key=lambda node: node.used) if fitting else None

    @classmethod
    def load(cls, document: JsonObject) -> Self:
        """Return what `dump` wrote, with empty nodes: no run outlives the service."""
        pool = super(Pool, cls).load({**document, "nodes": []})
        pool.nodes = [Node(id=node_id) for node_id in pool.wanted_nodes()]
        return pool

    def wire(self, base_url: str) -> JsonObject:
        """Return the pool as a client sees it."""
        dedicated = sum(node.is_dedicated for node in self.nodes)
        resizing = any(node.leaving for node in self.nodes)
        scaled = bool(self.spec.get("enableAutoScale"))
        return {
            **self.head(f"{base_url}/pools/{self.id}"),
            **{name: value for name, value in self.spec.items() if name != "id"},
            "allocationState": "resizing" if resizing else "steady",
            "allocationStateTransitionTime": self.allocated,
            "resizeTimeout": self.spec.get("resizeTimeout") or "PT15M",
            "currentDedicatedNodes": dedicated,
            "currentLowPriorityNodes": len(self.nodes) - dedicated,
            "targetDedicatedNodes": self.dedicated,
            "targetLowPriorityNodes": self.spot,
            "enableAutoScale": scaled,
            "taskSlotsPerNode": self.slots_per_node,
            "taskSchedulingPolicy": self.spec.get("taskSchedulingPolicy") or {"nodeFillType": "spread"},
        }


def _limits(spec: Mapping[str, Any]) -> JsonObject:
    return dict(spec.get("constraints") or {})


@dataclass(slots=True, kw_only=True)
class Job(Resource):
    """A job.

    Attributes:
        ended: End time, wire text.
        reason: `terminateReason`.
    """

    ended: str | None = None
    reason: str | None = None

    @property
    def pool_key(self) -> str:
        """Key of its pool, which may not exist (yet)."""
        return str(self.spec["poolInfo"]["poolId"]).lower()

    @property
    def priority(self) -> int:
        """-1000 to 1000; higher runs first."""
        return int(self.spec.get("priority") or 0)

    @property
    def max_parallel(self) -> int:
        """Most tasks running at a time, -1 for no limit."""
        limit = self.spec.get("maxParallelTasks")
        return -1 if limit is None else int(limit)

    @property
    def max_retries(self) -> int:
        """`maxTaskRetryCount` for tasks that set none."""
        return int(_limits(self.spec).get("maxTaskRetryCount") or 0)

    @property
    def ends_with_tasks(self) -> bool:
        """Whether the job terminates once no task is incomplete."""
        return bool(self.spec.get("onAllTasksComplete") == "terminatejob")

    @property
    def acts_on_failure(self) -> bool:
        """Whether `exitConditions` of its tasks may disable or terminate the job."""
        return bool(self.spec.get("onTaskFailure") == "performexitoptionsjobaction")

    @property
    def is_open(self) -> bool:
        """Whether it still counts against the quota of active jobs."""
        return self.state not in {State.COMPLETED, State.DELETING}

    def deadline(self) -> datetime | None:
        """Return when `maxWallClockTime` is over, None without a limit."""
        text = _limits(self.spec).get("maxWallClockTime")
        if text is None or text == NO_LIMIT:
            return None
        return _later(parse_utc(self.created), parse_duration(text))

    def wire(self, base_url: str) -> JsonObject:
        """Return the job as a client sees it."""
        info: JsonObject = {"startTime": self.created, "poolId": self.spec["poolInfo"]["poolId"]}
        if self.ended is not None:
            info["endTime"] = self.ended
        if self.reason is not None:
            info["terminateReason"] = self.reason
        return {
            **self.head(f"{base_url}/jobs/{self.id}"),
            "onTaskFailure": "noaction",
            **{name: value for name, value in self.spec.items() if name != "id"},
            "priority": self.priority,
            "maxParallelTasks": self.max_parallel,
            "usesTaskDependencies": bool(self.spec.get("usesTaskDependencies")),
            "onAllTasksComplete": self.spec.get("onAllTasksComplete") or "noaction",
            "constraints": {"maxWallClockTime": NO_LIMIT, "maxTaskRetryCount": 0, **_limits(self.spec)},
            "executionInfo": info,
        }


def _later(start: datetime, by: timedelta) -> datetime | None:
    try:
        return start + by
    except OverflowError:  # longer than a calendar: no limit
        return None


@dataclass(slots=True, kw_only=True)
class Task(Resource):
    """A task.

    Attributes:
        job_key: Key of its job.
        retry_count: Runs repeated because of a non-zero exit code.
        requeue_count: Runs repeated for any other reason, spot preemption excepted.
        node: Id of the node of the last run.
        process: Process id and its start in clock ticks, while running; a restarted service ends what is left.
        files_removed: The retention time is over.
        unblocks: It is completed, and tasks that depend on it may run.
    """

    job_key: str
    retry_count: int = 0
    requeue_count: int = 0
    last_retry: str | None = None
    last_requeue: str | None = None
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    failure: JsonObject | None = None
    result: str | None = None
    pool: str | None = None
    node: str | None = None
    process: list[int] | None = None
    files_removed: bool = False
    unblocks: bool = False

    @property
    def slots(self) -> int:
        """Slots it needs, all on one node."""
        return int(self.spec.get("requiredSlots") or 1)

    def max_retries(self, job: Job) -> int:
        """Return its own limit, or its job's."""
        own = _limits(self.spec).get("maxTaskRetryCount")
        return job.max_retries if own is None else int(own)

    def wall_clock_limit(self) -> timedelta | None:
        """Return how long one run may take, None without a limit."""
        text = _limits(self.spec).get("maxWallClockTime")
        return None if text is None or text == NO_LIMIT else parse_duration(text)

    def files_expire(self) -> datetime | None:
        """Return when the files of a completed task may go, None when never."""
        if self.ended is None:
            return None
        text = _limits(self.spec).get("retentionTime") or DEFAULT_RETENTION
        return _later(parse_utc(self.ended), parse_duration(text))

    def start(self, pool: str, node: str, now: datetime) -> None:
        """Enter the running state on a node."""
        assert self.state is State.ACTIVE
        self.pool, self.node, self.started, self.files_removed = pool, node, utc_text(now), False
        self.enter(State.RUNNING, now)

    def again(self, verdict: Verdict, now: datetime) -> None:
        """Go back to active for another run, counted by the reason."""
        if verdict is Verdict.RETRY:
            self.retry_count, self.last_retry = self.retry_count + 1, utc_text(now)
        elif verdict is Verdict.REQUEUE:
            self.requeue_count, self.last_requeue = self.requeue_count + 1, utc_text(now)
        self.started, self.process = None, None
        self.enter(State.ACTIVE, now)

    def finish(self, outcome: Outcome, now: datetime) -> None:
        """Enter the completed state."""
        self.exit_code, self.failure, self.process = outcome.exit_code, failure_of(outcome), None
        self.result = "success" if self.failure is None else "failure"
        self.ended = utc_text(now)
        options = exit_options(self.spec.get("exitConditions") or {}, outcome)
        action = options.get("dependencyAction") or ("satisfy" if self.failure is None else "block")
        self.unblocks = action == "satisfy"
        self.enter(State.COMPLETED, now)

    def reactivate(self, now: datetime) -> None:
        """Run a failed task again, as a new start: all its retries are free again."""
        assert self.state is State.COMPLETED
        self.retry_count, self.last_retry = 0, None
        self.started, self.ended, self.exit_code, self.failure, self.result = None, None, None, None, None
        self.unblocks = False
        self.enter(State.ACTIVE, now)

    def _execution_info(self) -> JsonObject:
        info: JsonObject = {"retryCount": self.retry_count, "requeueCount": self.requeue_count}
        optional: JsonObject = {
            "startTime": self.started,
            "lastRetryTime": self.last_retry,
            "lastRequeueTime": self.last_requeue,
        }
        if self.state is State.COMPLETED:
            optional |= {
                "endTime": self.ended,
                "exitCode": self.exit_code,
                "failureInfo": self.failure,
                "result": self.result,
            }
        return info | {name: value for name, value in optional.items() if value is not None}

    def wire(self, base_url: str, job: Job) -> JsonObject:
        """Return the task as a client sees it."""
        url = f"{base_url}/jobs/{job.id}/tasks/{self.id}"
        document = {
            **self.head(url),
            **{name: value for name, value in self.spec.items() if name != "id"},
            "requiredSlots": self.slots,
            "constraints": {
                "maxWallClockTime": NO_LIMIT,
                "retentionTime": DEFAULT_RETENTION,
                **_limits(self.spec),
                "maxTaskRetryCount": self.max_retries(job),
            },
            "executionInfo": self._execution_info(),
        }
        if self.node is not None and self.state is not State.ACTIVE:
            document["nodeInfo"] = {
                "affinityId": f"TVM:{self.node}",
                "nodeUrl": f"{base_url}/pools/{self.pool}/nodes/{self.node}",
                "poolId": self.pool,
                "nodeId": self.node,
                "taskRootDirectory": task_directory(job.id, self.id),
                "taskRootDirectoryUrl": f"{url}/files",
            }
        return document


def task_directory(job_id: str, task_id: str) -> str:
    """Return a task's directory below its node's root, as Azure lays it out."""
    return f"workitems/{job_id}/job-1/{task_id}"
