"""`./run check`: what must hold before a commit, in under a minute."""

import argparse
import subprocess
import sys

from infra.local.part import ROOT

STATIC = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
    ("imports", ("importlinter.cli", "lint")),
)
UNIT = ("unit tests", ("pytest", "-q", "-n", "2", "-m", "not thorough", "tests/unit"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--static", action="store_true", help="leave the unit tests out")


def run(args: argparse.Namespace) -> int:
    """Run each check; 1 when any failed."""
    failed = []
    for name, (module, *rest) in STATIC if args.static else (*STATIC, UNIT):
        print(f"--- {name}", flush=True)
        argv = _import_linter() if module == "importlinter.cli" else [sys.executable, "-m", module, *rest]
        if subprocess.run(argv, cwd=ROOT, check=False).returncode != 0:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def _import_linter() -> list[str]:
    """The tool has no module that can be run; this calls what its console script calls."""
    return [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
