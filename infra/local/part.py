"""One process of the local stack: started, waited for, logged and stopped."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".local"
"""Where commands keep their data and logs unless told otherwise."""

STOP_SECONDS = 30
"""How long a part may take to end its own children and save its state."""


class PartError(Exception):
    """A part of the stack did not start or ended by itself."""


class Part:
    """A child process that says `... ready ...` on a line of its own when it can be used.

    Args:
        name: Name of the part and of its log file.
        arguments: What follows `./run local`.
        environment: Variables on top of this process's.
        log: File that gets the part's output.
    """

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._ready = threading.Event()
        self._last: deque[str] = deque(maxlen=15)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "local", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own: Ctrl-C in the terminal reaches the stack, which stops its parts in order.
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - only prctl is called
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines, self.log.open("a", encoding="utf-8") as log:
            for line in lines:
                log.write(line)
                log.flush()
                self._last.append(line.rstrip())
                if " ready at " in line:
                    self._ready.set()

    def wait_ready(self, seconds: float) -> None:
        """Wait until the part can be used.

        Raises:
            PartError: With the end of its log, when it ended or took too long.
        """
        waited = 0.0
        while not self._ready.wait(0.05):
            waited += 0.05
            if self._process.poll() is not None:
                self._reader.join(1)
                raise PartError(self._fault(f"ended with status {self._process.returncode}"))
            if waited > seconds:
                raise PartError(self._fault(f"was not ready within {seconds:.0f} s"))

    def check(self) -> None:
        """Refuse to go on when the part has ended."""
        if self._process.poll() is not None:
            raise PartError(self._fault(f"ended with status {self._process.returncode}"))

    def stop(self) -> None:
        """End the part; it is killed when it does not end in time."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reader.join(2)

    def kill(self) -> None:
        """End the part at once, as a power cut does; only tests want this."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(2)

    def _fault(self, what: str) -> str:
        tail = "\n".join(f"  | {line}" for line in self._last)
        return f"The local {self.name} {what}. The end of {self.log}:\n{tail}"


def _die_with_parent() -> None:
    """Ask the kernel to end this process when the stack is killed hard."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
