"""The only place that starts external programs; what they say on stderr goes to a log file and into errors."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.errors import TransientError

_WHEEL_TOOLS = frozenset({"samtools", "bcftools"})
_TAIL_BYTES = 2_000  # enough of a tool's last words to act on, little enough for a marker


def real_argv(argv: Sequence[str]) -> list[str]:
    """The argv that the operating system gets: samtools and bcftools are those inside the pysam wheel."""
    if argv[0] not in _WHEEL_TOOLS:
        return list(argv)
    return [sys.executable, "-P", str(Path(__file__).with_name("wheel_tool.py")), *argv]


def run(argv: Sequence[str], log: Path) -> None:
    """Run one program to its end; stderr and stdout are appended to `log`.

    Raises:
        TransientError: When it cannot start or exits with another status than 0.
    """
    run_pipeline([argv], log)


def run_pipeline(commands: Sequence[Sequence[str]], log: Path) -> None:
    """Run programs at the same time, each one's stdout piped into the next one's stdin.

    Args:
        commands: Argvs; the last one writes its result to a file that it is told of.
        log: File that gets the stderr of all (and the last one's stdout), appended.

    Raises:
        TransientError: When any of them fails, naming those that failed with the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = log.stat().st_size if log.exists() else 0
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        chatter = stack.enter_context(log.open("ab"))
        try:
            for number, argv in enumerate(commands):
                last = number == len(commands) - 1
                source = processes[-1].stdout if processes else subprocess.DEVNULL
                process = subprocess.Popen(
                    real_argv(argv), stdin=source, stdout=chatter if last else subprocess.PIPE, stderr=chatter
                )
                if processes and processes[-1].stdout is not None:
                    processes[-1].stdout.close()  # only the reader holds it now, so the writer sees it die
                processes.append(process)
            statuses = [process.wait() for process in processes]
        except OSError as error:
            raise TransientError(f"{commands[len(processes)][0]} could not be started: {error}.") from error
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                if process.stdout is not None:
                    process.stdout.close()
    failed = [
        f"{' '.join(argv[:2])} (exit status {status})"
        for argv, status in zip(commands, statuses, strict=True)
        if status != 0
    ]
    if failed:
        raise TransientError(f"{', '.join(failed)} failed. Last words: {_tail(log, begin)}")


def _tail(log: Path, begin: int) -> str:
    """The end of what was appended to the log since byte `begin`."""
    with log.open("rb") as source:
        source.seek(max(begin, log.stat().st_size - _TAIL_BYTES))
        return source.read().decode("utf-8", "replace").strip() or "(nothing on stderr)"


@contextmanager
def stderr_to(log: Path) -> Iterator[None]:
    """Send this process's file descriptor 2 to a log while C code inside it talks.

    The descriptor belongs to the whole process: a logging handler on `sys.stderr` writes to the log, too, meanwhile.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as chatter:
            os.dup2(chatter.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
