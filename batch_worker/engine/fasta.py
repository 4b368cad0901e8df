"""A reference FASTA, read once, checked, and normalised to plain text with a `.fai` and a `.dict`.

The letters keep their case and the lines their width; only compression and carriage returns go.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.errors import PermanentError

IUPAC_DNA = b"ACGTRYSWKMBDHVNacgtryswkmbdhvn"
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class FastaContig:
    """One sequence of a FASTA file.

    Attributes:
        name: The first word after `>`.
        comment: The rest of the title line; empty when there is none.
        sequence: The letters, case kept, without line ends.
        line_bases: Letters per full line (all lines but the last have this many).
        title_line: Line number of the title, counted from 1.
    """

    name: str
    comment: str
    sequence: bytes
    line_bases: int
    title_line: int


def _open(fasta: Path) -> IO[bytes]:
    """Open a FASTA, plain, gzip or BGZF, told apart by its first two bytes."""
    with fasta.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
    if not packed:
        return fasta.open("rb")
    from isal import igzip

    opened: IO[bytes] = igzip.open(fasta, "rb")
    return opened


def _finish(fasta: Path, title: bytes, title_line: int, lines: list[bytes]) -> FastaContig:
    """Check the lines of one contig and join them.

    Raises:
        PermanentError: Without name or letters, with ragged lines, or with letters that are no DNA codes.
    """
    name_bytes, _, comment_bytes = title.partition(b" ") if b"\t" not in title else _split_title(title)
    if not name_bytes:
        raise PermanentError(
            f"{fasta.name} line {title_line}: a title without a contig name. Write the name directly after '>'."
        )
    name = name_bytes.decode("ascii", "backslashreplace")
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise PermanentError(
            f"{fasta.name} line {title_line}: contig '{name}' has no sequence. Remove it or restore its letters."
        )
    width = len(lines[0])
    # Only the last line may be shorter: a .fai index cannot describe anything else (faidx(5)).
    for number, line in enumerate(lines):
        if len(line) != width and (number != len(lines) - 1 or len(line) > width):
            raise PermanentError(
                f"{fasta.name} line {title_line + 1 + number}: contig '{name}' has a line of {len(line)} "
                f"letters among lines "
                f"of {width}; all but the last must be equally long. Rewrap the file, for example with `fold -w 60`."
            )
    sequence = b"".join(lines)
    if sequence.translate(None, IUPAC_DNA):
        for number, line in enumerate(lines):
            strange = line.translate(None, IUPAC_DNA)
            if strange:
                raise PermanentError(
                    f"{fasta.name} line {title_line + 1 + number}: contig '{name}' holds {strange[:1]!r}, which "
                    f"is no "
                    "IUPAC DNA code (ACGT RYSWKMBDHV N). Is this a DNA reference in FASTA format?"
                )
    return FastaContig(name, comment_bytes.strip().decode("utf-8", "replace"), sequence, width, title_line)


def _split_title(title: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a title with tabs at its first blank, as kseq does."""
    words = title.split(None, 1)
    return words[0] if words else b"", b" ", words[1] if len(words) > 1 else b""


def read_contigs(fasta: Path) -> Iterator[FastaContig]:
    """Yield the contigs of a FASTA in file order; one contig is in memory at a time.

    Raises:
        PermanentError: With the line number, when the file is no usable DNA reference.
    """
    seen: dict[str, int] = {}
    title: bytes | None = None
    title_line = 0
    lines: list[bytes] = []
    with _open(fasta) as source:
        for number, raw_line in enumerate(source, start=1):
            line = raw_line.rstrip(b"\r\n")
            if not line.startswith(b">"):
                if title is None:
                    if not line:
                        continue
                    raise PermanentError(
                        f"{fasta.name} line {number}: the first line of a FASTA must start with '>'. Is this a "
                        f"FASTA file?"
                    )
                lines.append(line)
                continue
            if title is not None:
                yield _new(fasta, _finish(fasta, title, title_line, lines), seen)
            title, title_line, lines = line[1:], number, []
    if title is None:
        raise PermanentError(f"{fasta.name} is empty; a reference needs at least one contig.")
    yield _new(fasta, _finish(fasta, title, title_line, lines), seen)


def _new(fasta: Path, contig: FastaContig, seen: dict[str, int]) -> FastaContig:
    """Return the contig, or refuse a name that was used before."""
    if contig.name in seen:
        raise PermanentError(
            f"{fasta.name} line {contig.title_line}: contig '{contig.name}' was already named on line "
            f"{seen[contig.name]}. Names must be unique; remove or rename one."
        )
    seen[contig.name] = contig.title_line
    return contig


def write_contig(out: IO[bytes], contig: FastaContig) -> str:
    """Append a contig to a plain FASTA and return its `.fai` line (samtools faidx(5))."""
    title = f">{contig.name} {contig.comment}".rstrip() + "\n"
    out.write(title.encode())
    offset = out.tell()
    width = contig.line_bases
    view = memoryview(contig.sequence)
    # About 1 MiB a piece: joined lines are written far faster than single ones.
    step = max(1, (1 << 20) // width) * width
    for start in range(0, len(view), step):
        piece = view[start : start + step]
        out.write(b"".join(bytes(piece[at : at + width]) + b"\n" for at in range(0, len(piece), width)))
    return f"{contig.name}\t{len(contig.sequence)}\t{offset}\t{width}\t{width + 1}\n"


def dict_line(contig: FastaContig) -> str:
    """The `@SQ` line of a `.dict`: name, length, MD5 of the upper-case sequence; no path."""
    md5 = hashlib.md5(contig.sequence.upper(), usedforsecurity=False).hexdigest()
    return f"@SQ\tSN:{contig.name}\tLN:{len(contig.sequence)}\tM5:{md5}\n"
