"""The text that `samtools stats` and `bcftools stats` write: without what names this machine, and as curves."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.domain.qc_curves import Curve, ReadCurves
from shared.errors import PermanentError

_COMMAND = "# The command line was:"


def neutral(lines: Iterable[str], command: str, paths: Mapping[str, str]) -> Iterator[str]:
    """The lines with another command line, and file names for paths: the same wherever they were written.

    Args:
        lines: What the tool wrote.
        command: What to say in place of the command line.
        paths: Name to put in place of each path.
    """
    for line in lines:
        if line.startswith(_COMMAND):
            yield f"{_COMMAND}\t{command}\n"
            continue
        named = line
        for path, name in paths.items():
            named = named.replace(path, name)
        yield named


def read_curves(lines: Iterable[str], name: str) -> ReadCurves:
    """Read the curves out of the text of `samtools stats`.

    Raises:
        PermanentError: With the line number, when a row is not what it should be.
    """
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        kind, _, rest = line.rstrip("\n").partition("\t")
        if kind not in {"FFQ", "LFQ", "GCF", "GCL", "IS", "COV"}:
            continue
        columns = rest.split("\t")
        try:
            rows[kind].append([float(value) for value in (columns[1:] if kind == "COV" else columns)])
        except ValueError as error:
            raise PermanentError(f"{name}, line {number:,}: no {kind} row of samtools stats. Make it again.") from error
    return ReadCurves(
        qualities=(_qualities(rows["FFQ"]), _qualities(rows["LFQ"])),
        gc=(_shares(rows["GCF"]), _shares(rows["GCL"])),
        insert_sizes=tuple((row[0], row[1]) for row in rows["IS"]),
        depths=tuple((row[0], row[1]) for row in rows["COV"]),
    )


def _qualities(rows: Sequence[Sequence[float]]) -> Curve:
    """Mean quality by cycle, from the number of bases by quality."""
    points = []
    for cycle, *counts in rows:
        total = sum(counts)
        if total:
            points.append((cycle, round(sum(q * count for q, count in enumerate(counts)) / total, 3)))
    return tuple(points)


def _shares(rows: Sequence[Sequence[float]]) -> Curve:
    """Each row's count as a share of all, 0 to 1."""
    total = sum(row[1] for row in rows)
    return tuple((row[0], round(row[1] / total, 6)) for row in rows) if total else ()
