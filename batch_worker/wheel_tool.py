"""Run one samtools or bcftools command of the pysam wheel, as a process of its own.

Usage: `python -P wheel_tool.py samtools|bcftools COMMAND [ARGUMENTS] [--stdout FILE]`. The last option is for commands
that can only write text to stdout, which the wheel does not let through. pysam's wrappers keep C global state and hold
the interpreter lock, so a caller that wants two at once, or a pipe, or to stay responsive, needs processes. Imports
nothing of the project: it is started by path.
"""

import sys
from importlib import import_module


def main(argv: list[str]) -> int:
    """Run `argv` (tool, command, arguments) and return its exit status; the tool's messages go to stderr."""
    tool, command, *arguments = argv
    save_stdout = None
    if arguments[-2:-1] == ["--stdout"]:
        save_stdout = arguments[-1]
        arguments = arguments[:-2]
    from pysam.utils import SamtoolsError

    dispatcher = getattr(import_module(f"pysam.{tool}"), command.replace("-", "_"))
    try:
        dispatcher(*arguments, catch_stdout=save_stdout is not None, save_stdout=save_stdout)
    except SamtoolsError as error:
        sys.stderr.write(f"{error.value}\n")
        return 1
    messages = dispatcher.get_messages()
    if messages:
        sys.stderr.write(messages if isinstance(messages, str) else repr(messages))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
