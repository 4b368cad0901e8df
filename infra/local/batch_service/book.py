"""The account's pools, jobs and tasks in memory, kept on disk, and what follows when one of them changes."""

from __future__ import annotations

import heapq
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from infra.local.batch_service.entry import JobEntry
from infra.local.batch_service.model import (
    Job,
    Node,
    Pool,
    State,
    Task,
    task_directory,
)
from infra.local.batch_service.outcome import Cause, Outcome, Verdict, exit_options, judge
from infra.local.batch_service.process import Run, Surroundings, environment, kill_leftover
from infra.local.batch_service.store import Change, Kind, Store
from infra.local.batch_service.wire import WireError, utc_text


class Book:
    """All state of the account. Methods expect the lock to be held, except `change` and `run_ended`.

    Args:
        account: Account name.
        state: Folder of the service: the sqlite file and the nodes' directories.
        default_nodes: Nodes of a pool that is autoscaled in the cloud.
    """

    def __init__(self, account: str, state: Path, default_nodes: int) -> None:
        self.account = account
        self.account_url = ""
        self.default_nodes = default_nodes
        self.changed = threading.Condition(threading.RLock())
        self.pools: dict[str, Pool] = {}
        self.jobs: dict[str, JobEntry] = {}
        self.runs: dict[tuple[str, str], Run] = {}
        self._nodes_root = state / "nodes"
        self._trash = state / "trash"
        self._removals: list[Path] = []
        self._store = Store(state / "batch.sqlite3")
        self._dirty: dict[tuple[Kind, str], Pool | Job | Task | None] = {}
        self._depth = 0
        self._sequence = 0
        self._expiries: list[tuple[datetime, str, str]] = []
        self._load()

    # -- reading and writing -------------------------------------------------------------------

    def _load(self) -> None:
        now = datetime.now(UTC)
        if self._trash.exists():
            self._removals += self._trash.iterdir()
        self.pools = {pool.key: pool for pool in map(Pool.load, self._store.read("pool"))}
        self.jobs = {job.key: JobEntry(job) for job in sorted(map(Job.load, self._store.read("job")), key=_by_sequence)}
        tasks = sorted(map(Task.load, self._store.read("task")), key=_by_sequence)
        everything = [*self.pools.values(), *(entry.job for entry in self.jobs.values()), *tasks]
        self._sequence = max((item.sequence for item in everything), default=0)
        with self.change():
            for task in tasks:
                entry = self.jobs[task.job_key]
                entry.tasks[task.key] = task
                if task.state is State.RUNNING:
                    if task.process is not None:
                        kill_leftover(task.process)
                    task.again(Verdict.REQUEUE, now)
                    self.save(task)
                if task.state is State.ACTIVE:
                    entry.enqueue(task)
                else:
                    self._expect_removal(task)
            for entry in list(self.jobs.values()):
                self.settle(entry, now)
            for pool in [pool for pool in self.pools.values() if pool.state is State.DELETING]:
                self.drop_pool(pool)

    @contextmanager
    def change(self) -> Iterator[datetime]:
        """Hold the lock, then write what was saved in one transaction and wake the scheduler.

        Yields:
            The time of the change.
        """
        with self.changed:
            self._depth += 1
            try:
                yield datetime.now(UTC)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.flush()
                    self.changed.notify_all()

    def flush(self) -> None:
        """Write what was saved since the last time."""
        if not self._dirty:
            return
        changes: list[Change] = [
            (kind, key, None if item is None else item.dump()) for (kind, key), item in self._dirty.items()
        ]
        self._dirty.clear()
        self._store.write(changes)

    def save(self, item: Pool | Job | Task) -> None:
        """Have a new or changed resource written."""
        self._dirty[_place(item)] = item

    def forget(self, item: Pool | Job | Task) -> None:
        """Have a resource removed from disk."""
        self._dirty[_place(item)] = None

    def next_sequence(self) -> int:
        """Return a new number, larger than all before."""
        self._sequence += 1
        return self._sequence

    def close(self) -> None:
        """Close the file; nothing may be changed afterwards."""
        with self.changed:
            self.flush()
            self._store.close()

    # -- looking up ----------------------------------------------------------------------------

    def pool(self, pool_id: str) -> Pool:
        """Return a pool, or raise PoolNotFound."""
        try:
            return self.pools[pool_id.lower()]
        except KeyError:
            raise WireError("PoolNotFound") from None

    def job(self, job_id: str) -> JobEntry:
        """Return a job's entry, or raise JobNotFound."""
        try:
            return self.jobs[job_id.lower()]
        except KeyError:
            raise WireError("JobNotFound") from None

    def task(self, job_id: str, task_id: str) -> tuple[JobEntry, Task]:
        """Return a task and its job's entry, or raise JobNotFound or TaskNotFound."""
        entry = self.job(job_id)
        try:
            return entry, entry.tasks[task_id.lower()]
        except KeyError:
            raise WireError("TaskNotFound") from None

    def task_root(self, job: Job, task: Task) -> Path | None:
        """Return the directory of a task's last run, None when it never ran."""
        if task.pool is None or task.node is None:
            return None
        return self.node_root(task.pool, task.node) / task_directory(job.id, task.id)

    def node_root(self, pool_id: str, node_id: str) -> Path:
        """Return a node's directory."""
        return self._nodes_root / pool_id.lower() / node_id

    # -- scheduling ----------------------------------------------------------------------------

    def claim(self, now: datetime) -> list[Run]:
        """Return runs for all tasks that there is room for, already marked as running.

        Jobs go by priority, then age; tasks by age. A task that waits for slots holds back all younger ones of
        its pool, so that a large task is never starved by small ones.
        """
        claimed: list[Run] = []
        full: set[str] = set()
        entries = [entry for entry in self.jobs.values() if entry.job.state is State.ACTIVE and entry.queue]
        for entry in sorted(entries, key=lambda item: (-item.job.priority, item.job.sequence)):
            pool = self.pools.get(entry.job.pool_key)
            if pool is None or pool.state is not State.ACTIVE or pool.key in full:
                continue
            while entry.job.max_parallel == -1 or len(entry.running) < entry.job.max_parallel:
                task = entry.next_task(pool.slots_per_node, self._busy(entry))
                if task is None:
                    break
                node = pool.place(task.slots)
                if node is None:
                    full.add(pool.key)
                    break
                heapq.heappop(entry.queue)
                claimed.append(self._start(entry, task, pool, node, now))
        self.flush()
        return claimed

    def _busy(self, entry: JobEntry) -> Callable[[str], bool]:
        return lambda key: (entry.job.key, key) in self.runs

    def _start(self, entry: JobEntry, task: Task, pool: Pool, node: Node, now: datetime) -> Run:
        task.start(pool.id, node.id, now)
        self.save(task)
        limit = task.wall_clock_limit()
        run = Run(
            entry.job.key,
            task,
            node,
            self._surroundings(entry.job, task, pool, node),
            None if limit is None else now + limit,
        )
        node.used += run.slots
        entry.running.add(task.key)
        self.runs[run.key] = run
        return run

    def _surroundings(self, job: Job, task: Task, pool: Pool, node: Node) -> Surroundings:
        node_root = self.node_root(pool.id, node.id)
        task_root = node_root / task_directory(job.id, task.id)
        batch = {
            "AZ_BATCH_ACCOUNT_NAME": self.account,
            "AZ_BATCH_ACCOUNT_URL": self.account_url,
            "AZ_BATCH_JOB_ID": job.id,
            "AZ_BATCH_TASK_ID": task.id,
            "AZ_BATCH_POOL_ID": pool.id,
            "AZ_BATCH_NODE_ID": node.id,
            "AZ_BATCH_NODE_ROOT_DIR": str(node_root),
            "AZ_BATCH_NODE_SHARED_DIR": str(node_root / "shared"),
            "AZ_BATCH_NODE_IS_DEDICATED": "true" if node.is_dedicated else "false",
            "AZ_BATCH_TASK_DIR": str(task_root),
            "AZ_BATCH_TASK_WORKING_DIR": str(task_root / "wd"),
        }
        settings = [
            *(job.spec.get("commonEnvironmentSettings") or ()),
            *(task.spec.get("environmentSettings") or ()),
        ]
        return Surroundings(node_root, task_root, environment(os.environ, batch, settings))

    def due(self, now: datetime) -> tuple[list[Path], datetime | None]:
        """End what is over its time; return directories to remove and when to look again."""
        upcoming: list[datetime] = []
        for run in self.runs.values():
            if run.deadline is not None:
                if run.deadline <= now:
                    run.end(Cause.TIMED_OUT)
                else:
                    upcoming.append(run.deadline)
        for entry in list(self.jobs.values()):
            deadline = entry.job.deadline() if entry.job.is_open else None
            if deadline is not None and entry.job.state is not State.TERMINATING:
                if deadline <= now:
                    self.terminate(entry, "MaxWallClockTimeExpiry", now)
                else:
                    upcoming.append(deadline)
        self._expire(now)
        if self._expiries:
            upcoming.append(self._expiries[0][0])
        self.flush()
        directories, self._removals = self._removals, []
        return directories, min(upcoming, default=None)

    def discard_files(self, job: Job, task: Task) -> None:
        """Have a task's directory removed soon.

        It is renamed at once: a new task of the same name must not meet the removal of the old one's files.
        """
        root = self.task_root(job, task)
        if root is None or not root.exists():
            return
        self._trash.mkdir(exist_ok=True)
        target = self._trash / uuid.uuid4().hex
        root.rename(target)
        self._removals.append(target)

    def _expire(self, now: datetime) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            _, job_key, task_key = heapq.heappop(self._expiries)
            entry = self.jobs.get(job_key)
            task = entry.tasks.get(task_key) if entry else None
            if entry is None or task is None or task.state is not State.COMPLETED:
                continue
            expiry = task.files_expire()
            if expiry is None or task.files_removed:
                continue
            if expiry > now:  # reactivated and completed again, or the constraint was changed
                self._expect_removal(task)
                continue
            task.files_removed = True
            self.save(task)
            self.discard_files(entry.job, task)

    def _expect_removal(self, task: Task) -> None:
        expiry = task.files_expire()
        if expiry is not None and task.node is not None and not task.files_removed:
            heapq.heappush(self._expiries, (expiry, task.job_key, task.key))

    # -- what follows --------------------------------------------------------------------------

    def run_ended(self, run: Run, outcome: Outcome) -> None:
        """Take in how a run ended: complete, retry or requeue its task, free its slots."""
        with self.change() as now:
            self.runs.pop(run.key)
            self._release(run, now)
            entry = self.jobs[run.job_key]
            entry.running.discard(run.task.key)
            entry.unpark()
            if entry.tasks.get(run.task.key) is run.task:
                self._conclude(entry, run.task, outcome, now)
            else:  # deleted while it ran
                self.discard_files(entry.job, run.task)
            self.settle(entry, now)

    def _conclude(self, entry: JobEntry, task: Task, outcome: Outcome, now: datetime) -> None:
        verdict = judge(outcome, task.retry_count, task.max_retries(entry.job))
        ending = entry.job.state in {State.TERMINATING, State.DELETING}
        if verdict is Verdict.DONE or (verdict is Verdict.RETRY and ending):
            self.complete(entry, task, outcome, now)
            return
        task.again(verdict, now)
        entry.enqueue(task)
        self.save(task)

    def complete(self, entry: JobEntry, task: Task, outcome: Outcome, now: datetime) -> None:
        """Complete a task, with what that means for its job."""
        task.finish(outcome, now)
        self.save(task)
        self._expect_removal(task)
        entry.unpark()
        if entry.job.state not in {State.ACTIVE, State.DISABLING, State.DISABLED}:
            return
        if entry.job.acts_on_failure and outcome.cause is not Cause.TERMINATED:
            options = exit_options(task.spec.get("exitConditions") or {}, outcome)
            action = options.get("jobAction") or ("none" if task.failure is None else "terminate")
            if action == "terminate":
                self.terminate(entry, "TaskFailed", now)
                return
            if action == "disable" and entry.job.state is State.ACTIVE:
                self.disable(entry, "requeue", now)
        self.end_if_all_complete(entry, now)

    def end_if_all_complete(self, entry: JobEntry, now: datetime) -> None:
        """Terminate a job with onAllTasksComplete once no task is left; a job without tasks has none left."""
        if (
            entry.job.ends_with_tasks
            and entry.job.state is State.ACTIVE
            and all(task.state is State.COMPLETED for task in entry.tasks.values())
        ):
            self.terminate(entry, "AllTasksComplete", now)

    def terminate(self, entry: JobEntry, reason: str, now: datetime) -> None:
        """Begin to terminate a job: running tasks end, active ones stay active."""
        entry.job.reason = reason
        entry.job.enter(State.TERMINATING, now)
        self.save(entry.job)
        self._end_runs(entry, Cause.TERMINATED)
        self.settle(entry, now)

    def disable(self, entry: JobEntry, tasks: str, now: datetime) -> None:
        """Begin to disable a job.

        Args:
            entry: The job.
            tasks: What happens to running tasks: requeue, terminate or wait.
            now: Present time.
        """
        entry.job.enter(State.DISABLING, now)
        self.save(entry.job)
        if tasks != "wait":
            self._end_runs(entry, Cause.REQUEUED if tasks == "requeue" else Cause.TERMINATED)
        self.settle(entry, now)

    def delete(self, entry: JobEntry, now: datetime) -> None:
        """Begin to delete a job and its tasks."""
        entry.job.enter(State.DELETING, now)
        self.save(entry.job)
        self._end_runs(entry, Cause.TERMINATED)
        self.settle(entry, now)

    def _end_runs(self, entry: JobEntry, cause: Cause) -> None:
        for key in entry.running:
            self.runs[entry.job.key, key].end(cause)

    def settle(self, entry: JobEntry, now: datetime) -> None:
        """Take a job from a passing state to the one behind it, once no task runs."""
        if entry.running:
            return
        job = entry.job
        if job.state is State.TERMINATING:
            job.ended = utc_text(now)
            job.enter(State.COMPLETED, now)
            self.save(job)
        elif job.state is State.DISABLING:
            job.enter(State.DISABLED, now)
            self.save(job)
        elif job.state is State.DELETING:
            for task in entry.tasks.values():
                self.forget(task)
                self.discard_files(job, task)
            self.forget(job)
            del self.jobs[job.key]

    def _release(self, run: Run, now: datetime) -> None:
        run.node.used -= run.slots
        pool = self.pools.get(str(run.task.pool).lower())
        if pool is None or not run.node.leaving or run.node.used:
            return
        pool.nodes = [node for node in pool.nodes if node is not run.node]
        if pool.state is State.DELETING:
            self.drop_pool(pool)
        elif not any(node.leaving for node in pool.nodes):
            self._fit_nodes(pool, now)

    def resize(self, pool: Pool, option: str, now: datetime) -> None:
        """Give a pool the nodes its targets ask for.

        Args:
            pool: The pool, its targets set.
            option: What happens to tasks on nodes that leave: requeue, terminate or taskcompletion.
            now: Present time.
        """
        wanted = set(pool.wanted_nodes())
        for node in pool.nodes:
            node.leaving = node.id not in wanted
        pool.nodes = [node for node in pool.nodes if not node.leaving or node.used]
        cause = {"requeue": Cause.REQUEUED, "terminate": Cause.TERMINATED}.get(option)
        if cause is not None:
            for run in self.runs.values():
                if run.node.leaving:
                    run.end(cause)
        self._fit_nodes(pool, now)

    def _fit_nodes(self, pool: Pool, now: datetime) -> None:
        present = {node.id for node in pool.nodes}
        pool.nodes += [Node(id=node_id) for node_id in pool.wanted_nodes() if node_id not in present]
        pool.allocated = utc_text(now)
        pool.touch(now)
        self.save(pool)

    def drop_pool(self, pool: Pool) -> None:
        """Remove a pool that is being deleted, once it has no nodes."""
        if any(node.used for node in pool.nodes):
            return
        self.forget(pool)
        self.pools.pop(pool.key, None)

    def note_process(self, run: Run, process: list[int] | None) -> None:
        """Keep a run's process on disk, so that a restarted service can end what is left of it."""
        with self.changed:
            run.task.process = process
            if self.jobs[run.job_key].tasks.get(run.task.key) is run.task:
                self.save(run.task)
                self.flush()


def _by_sequence(item: Job | Task) -> int:
    return item.sequence


def _place(item: Pool | Job | Task) -> tuple[Kind, str]:
    if isinstance(item, Pool):
        return "pool", item.key
    if isinstance(item, Job):
        return "job", item.key
    return "task", f"{item.job_key}/{item.key}"
