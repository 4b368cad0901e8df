"""Run one samtools or bcftools command of the pysam wheel, as a process of its own.

Usage: `python -P wheel_tool.py samtools|bcftools COMMAND [ARGUMENTS]`. pysam's wrappers keep C global state and hold
the interpreter lock, so a caller that wants two at once, or a pipe, or to stay responsive, needs processes. Imports
nothing of the project: it is started by path.
"""

import sys
from importlib import import_module


def main(argv: list[str]) -> int:
    """Run `argv` (tool, command, arguments) and return its exit status; the tool's messages go to stderr."""
    tool, command, *arguments = argv
    from pysam.utils import SamtoolsError

    dispatcher = getattr(import_module(f"pysam.{tool}"), command.replace("-", "_"))
    try:
        dispatcher(*arguments, catch_stdout=False)
    except SamtoolsError as error:
        sys.stderr.write(f"{error.value}\n")
        return 1
    messages = dispatcher.get_messages()
    if messages:
        sys.stderr.write(messages if isinstance(messages, str) else repr(messages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
