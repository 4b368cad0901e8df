"""What the processes below this one use, sampled from /proc while a block runs: memory, and CPU by program."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
INTERVAL_SECONDS = 0.1


@dataclass
class ProcessTree:
    """Samples all descendants of a process; use it as a context manager. Linux only.

    What a process used after its last sample is missed, up to 0.1 s each: take totals from elsewhere.

    Attributes:
        root: The process id, itself not counted.
        counts: Which programs are looked at.
        peak_mb: The most memory of all together at one time, MB; pages that several map count once (PSS).
        process_mb: The most memory that one process of a program had, MB (RSS), by program.
        cpu: CPU seconds by program.
        own_cpu: CPU seconds that sampling took, in this process.
    """

    root: int = field(default_factory=os.getpid)
    counts: Callable[[str], bool] = lambda _: True
    peak_mb: float = 0.0
    process_mb: dict[str, float] = field(default_factory=dict)
    own_cpu: float = 0.0
    _ticks: dict[tuple[str, int], int] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._done.set()
        self._thread.join()

    @property
    def cpu(self) -> dict[str, float]:
        """CPU seconds by program, the busiest first."""
        total: dict[str, float] = defaultdict(float)
        for (name, _), ticks in self._ticks.items():
            total[name] += ticks / TICKS
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def _run(self) -> None:
        begin = time.thread_time()
        while not self._done.wait(INTERVAL_SECONDS):
            self._sample()
        self.own_cpu = time.thread_time() - begin

    def _sample(self) -> None:
        children: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                columns = path.read_text(errors="replace").rpartition(")")[2].split()
            except OSError:  # it went meanwhile
                continue
            children[int(columns[1])].append((int(path.parent.name), int(columns[11]) + int(columns[12])))
        together = 0.0
        waiting = [self.root]
        while waiting:
            for pid, ticks in children.get(waiting.pop(), ()):
                waiting.append(pid)
                try:
                    name = program(Path(f"/proc/{pid}/cmdline").read_bytes())
                    if not self.counts(name):
                        continue
                    pss = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
                    most = _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:")
                except OSError:
                    continue
                together += pss / 1000
                self.process_mb[name] = max(self.process_mb.get(name, 0.0), most / 1000)
                self._ticks[name, pid] = ticks
        self.peak_mb = max(self.peak_mb, together)


def _kilobytes(path: Path, key: str) -> int:
    return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(key)), 0)


def program(cmdline: bytes) -> str:
    """How a process is called in tables: `bwa mem`, `bcftools call`, `align` for a worker's align task.

    >>> program(b"python\\0-P\\0/x/wheel_tool.py\\0bcftools\\0call\\0-m\\0")
    'bcftools call'
    >>> program(b"/usr/bin/python3\\0-m\\0batch_worker\\0run\\0align-S1_L001-00000\\0abc\\0")
    'align task'
    """
    argv = cmdline.decode(errors="replace").split("\0")
    names = [Path(word).name for word in argv]
    for at, name in enumerate(names):
        if name == "wheel_tool.py":
            return " ".join(argv[at + 1 : at + 3])
        if name == "batch_worker" and "run" in argv[at:]:
            return argv[argv.index("run", at) + 1].partition("-")[0] + " task"
        if name in {"bwa", "samtools", "bcftools"}:
            return " ".join([name, *argv[at + 1 : at + 2]])
    if "multiprocessing.spawn" in cmdline.decode(errors="replace"):
        return "worker"
    return names[0]
