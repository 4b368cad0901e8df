"""Which packages a part of the repository imports, directly or through the modules of ours that it imports."""

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

# Distributions by import name; those that share the `azure` namespace are told apart by their full name.
_DISTRIBUTIONS = importlib.metadata.packages_distributions()

_NEWER_STDLIB = frozenset({"compression"})  # of Python 3.14; until then a package has the same


def third_party_imports(root: Path, packages: Sequence[str], follow: Sequence[str]) -> set[str]:
    """Canonical names of the distributions that `packages` import anywhere, lazily or not.

    Args:
        root: The repository root.
        packages: Top-level packages whose every module counts.
        follow: Top-level packages whose modules count when one that counts imports them.
    """
    waiting = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
    seen: set[Path] = set()
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imports(path):
            top = name.partition(".")[0]
            if top in {*packages, *follow}:
                waiting.extend(_module_files(root, name))
            elif top not in sys.stdlib_module_names | _NEWER_STDLIB:
                found |= set(_distributions(name))
    return found


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a module may be importing; `from a import b` gives `a` and `a.b`."""
    for node in _running_code(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _running_code(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _running_code(node)


def _module_files(root: Path, name: str) -> Iterable[Path]:
    parts = name.split(".")
    candidates = [root.joinpath(*parts).with_suffix(".py")]
    candidates += [root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    return [path for path in candidates if path.exists()]


def _distributions(name: str) -> Iterator[str]:
    top = name.partition(".")[0]
    offered = [canonicalize_name(found) for found in _DISTRIBUTIONS.get(top, [top])]
    if len(offered) == 1:
        yield offered[0]
        return
    # azure.storage.blob.aio -> azure-storage-blob
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        joined = canonicalize_name("-".join(parts[:length]))
        if joined in offered:
            yield joined
            return
