"""The only door to the samtools and bcftools that are compiled into pysam.

They keep C global state and swap the process's stderr while they run, so in one process only one of them may run
at a time: every call takes the same lock. Outputs go to files (``-o``); nothing is read from stdout. pysam is
imported on the first call.
"""

import threading
from typing import Final

from shared.errors import PermanentError

_MAX_MESSAGE: Final = 2000
"""Characters of the program's stderr that an error repeats: the last lines say why it stopped."""

_lock = threading.Lock()


def run_bcftools(*argv: str) -> str:
    """Run a bcftools command, such as ``run_bcftools("norm", "-m", "-any", "-o", out, source)``.

    Args:
        argv: The command and its arguments. It must write to files (``-o``), not to stdout.

    Returns:
        What the program wrote to stderr: warnings and counts.

    Raises:
        PermanentError: When the program exits with an error; its stderr is in the message.
    """
    return _run("bcftools", argv)


def run_samtools(*argv: str) -> str:
    """Run a samtools command; as `run_bcftools`."""
    return _run("samtools", argv)


def htslib_versions() -> dict[str, str]:
    """Versions of the compiled-in programs by name: ``samtools`` and ``bcftools``."""
    from pysam import version

    return {"samtools": version.__samtools_version__, "bcftools": version.__bcftools_version__}


def _run(program: str, argv: tuple[str, ...]) -> str:
    from pysam import SamtoolsError
    from pysam.utils import PysamDispatcher

    command, *arguments = argv
    dispatcher = PysamDispatcher(program, command)
    with _lock:
        try:
            dispatcher(*arguments, catch_stdout=False)
        except SamtoolsError as error:
            text = str(error.value).partition("stderr=")[2].strip()[-_MAX_MESSAGE:]
            raise PermanentError(
                f"{program} {' '.join(argv)} failed: {text or 'it gave no reason'}. "
                "Check that the files it names are there and whole."
            ) from error
    return str(dispatcher.get_messages() or "")
