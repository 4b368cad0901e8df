"""BED files: read with line numbers, written with three columns. Intervals are 0-based half-open, as BED's own."""

from collections.abc import Iterable, Sequence

from shared.domain.genome import Contig, Interval
from shared.errors import PermanentError

MAX_BED_BYTES = 32 * 1024**2
"""About a million intervals; an exome's design has a fifth. Whatever is larger is not read into memory."""

_NOT_INTERVALS = ("#", "browser", "track")
_SHOWN = 40  # characters of a bad line that a message repeats


def read_bed(data: bytes, name: str, contigs: Sequence[Contig]) -> tuple[Interval, ...]:
    """The intervals of a BED file, in the order of the file; further columns are not looked at.

    Lines that are empty, comments, `browser` or `track` lines are passed over; line ends may be of any system, columns
    separated by tabs or spaces.

    Args:
        data: The file.
        name: Its name, for messages.
        contigs: Of the reference.

    Raises:
        PermanentError: Naming the line, what is wrong there, and what to do.
    """
    if data[:2] == b"\x1f\x8b":
        raise PermanentError(f"{name} is compressed. Upload the BED file as plain text.")
    length = {contig.name: contig.length for contig in contigs}
    found: list[Interval] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            line = raw.decode("ascii")
        except UnicodeDecodeError:
            # Names of targets may be in any script; where they lie must not be.
            line = raw.decode("utf-8", errors="replace")
        if not line.strip() or line.startswith(_NOT_INTERVALS):
            continue
        contig, start, end = _columns(line, number, name)
        if contig not in length:
            raise PermanentError(f"{name}, line {number}: {_stranger(contig, length)}")
        if not 0 <= start < end <= length[contig]:
            raise PermanentError(
                f"{name}, line {number}: {contig}:{start}-{end} (0-based half-open) is "
                + ("empty" if start == end else "backwards" if start > end else "outside the contig")
                + f"; {contig} has {length[contig]:,} bp. Was the BED file made for another genome build, or with "
                "positions that count from 1?"
            )
        found.append(Interval(contig, start, end))
    if not found:
        raise PermanentError(f"{name} holds no interval. Upload the BED file of the targets.")
    return tuple(found)


def bed_text(intervals: Iterable[Interval]) -> bytes:
    """The intervals as BED: contig, start, end."""
    return "".join(f"{one.contig}\t{one.start}\t{one.end}\n" for one in intervals).encode()


def _columns(line: str, number: int, name: str) -> tuple[str, int, int]:
    columns = line.split("\t") if "\t" in line else line.split()
    try:
        contig, start, end = columns[:3]
        if not (start.strip().isdecimal() and end.strip().isdecimal()):
            raise ValueError  # noqa: TRY301 - one message for every malformed line
        return contig.strip(), int(start), int(end)
    except ValueError as error:
        raise PermanentError(
            f"{name}, line {number}: '{line[:_SHOWN]}' is no BED line. It needs a contig, a start and an end (whole "
            "numbers, counted from 0, the end not included), separated by tabs."
        ) from error


def _stranger(contig: str, known: dict[str, int]) -> str:
    """Why a contig is not known."""
    twin = contig[3:] if contig.startswith("chr") else f"chr{contig}"
    twin = {"chrM": "MT", "MT": "chrM", "M": "chrM"}.get(contig, twin)
    if twin in known:
        return (
            f"contig '{contig}' is called '{twin}' in the reference bundle. Rename the contigs of the BED file "
            "accordingly, or order against a bundle with the BED file's names."
        )
    return (
        f"the reference bundle has no contig '{contig}' (it has {', '.join(list(known)[:3])}, ...). Was the BED file "
        "made for another genome?"
    )
