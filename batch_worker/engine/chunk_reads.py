"""A chunk of interleaved read pairs (R1, R2, R1, R2, ...) or of single reads, in batches of a fixed number of reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from shared.errors import PermanentError

_GZIP_MAGIC = b"\x1f\x8b"
_LINES_PER_PAIR = 8
_LINES_PER_READ = 4
_SCORED_QUALITY = 15  # Phred; samtools fixmate and markdup sum the qualities from here on
_Q30 = 30
_PIECE_BYTES = 8 << 20  # decompressed bytes read at a time
_MAX_NAME = 254  # bytes; a BAM record cannot hold more


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive pairs, or single reads, of a chunk.

    Attributes:
        names: One per pair or single read, without `/1` and without comments.
        sequences: R1, R2, R1, R2, ...; or single reads.
        qualities: As in FASTQ (Phred + 33), in the same order.
        scores: Sum of the Phred qualities of 15 and above of each read, in the same order.
        bases: Bases in all reads.
        q30_bases: Bases of Phred quality 30 or better.
    """

    names: list[bytes]
    sequences: list[bytes]
    qualities: list[bytes]
    scores: NDArray[np.int64]
    bases: int
    q30_bases: int


def open_reads(source: Path | BinaryIO) -> IO[bytes]:
    """Open FASTQ, plain or gzip, told apart by the first two bytes."""
    from isal import igzip

    if isinstance(source, Path):
        with source.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
        opened: IO[bytes] = igzip.open(source, "rb") if packed else source.open("rb")
        return opened
    stream = source if isinstance(source, BufferedReader) else BufferedReader(cast("Any", source))
    if stream.peek(2)[:2] == _GZIP_MAGIC:
        unpacked: IO[bytes] = igzip.open(stream, "rb")
        return unpacked
    return stream


def bare_name(title: bytes) -> bytes:
    """The read's name as bwa writes it: without `@`, comment, and `/1` or `/2`.

    >>> bare_name(b"@A00011:1:1101/2 2:N:0:ACGT")
    b'A00011:1:1101'
    """
    name = title[1:].split(None, 1)[0] if len(title) > 1 and not title[1:2].isspace() else b""
    return name[:-2] if len(name) > 2 and name[-2:] in {b"/1", b"/2"} else name


def read_batches(source: Path | BinaryIO, label: str, batch_pairs: int, *, single_end: bool = False) -> Iterator[Batch]:
    """Yield batches of `batch_pairs` pairs, or of twice as many single reads; the last may be shorter.

    Args:
        source: FASTQ, interleaved where it holds pairs; a path or a stream.
        label: How messages name the chunk.
        batch_pairs: Pairs per batch.
        single_end: The reads have no mates.

    Raises:
        PermanentError: With the line number, when a record is malformed or mates do not match.
    """
    first_line = 1
    with open_reads(source) as reads:
        for lines in _line_groups(reads, batch_pairs * _LINES_PER_PAIR):
            yield _batch(lines, label, first_line, single_end=single_end)
            first_line += len(lines)


def _line_groups(reads: IO[bytes], size: int) -> Iterator[list[bytes]]:
    """Lists of `size` lines without line ends; the last may be shorter.

    Reads in large pieces: lines one by one are slow.
    """
    lines: list[bytes] = []
    rest = b""
    while piece := reads.read(_PIECE_BYTES):
        more = (rest + piece).split(b"\n")
        rest = more.pop()
        lines += more
        while len(lines) >= size:
            yield _bare_lines(lines[:size])
            del lines[:size]
    if rest:
        lines.append(rest)
    while lines:
        yield _bare_lines(lines[:size])
        del lines[:size]


def _bare_lines(lines: list[bytes]) -> list[bytes]:
    """The lines without carriage returns, which only files made on Windows have."""
    return [line.rstrip(b"\r") for line in lines] if lines[0].endswith(b"\r") else lines


def _pair_names(titles: list[bytes]) -> list[bytes] | None:
    """The name of each pair; None when mates differ. The common form, without tab and `/1`, is told apart fast."""
    first = [title.partition(b" ")[0] for title in titles[0::2]]
    if titles and b"\t" not in titles[0] and titles[0].partition(b" ")[0][-2:] != b"/1":
        second = [title.partition(b" ")[0] for title in titles[1::2]]
        if first == second:
            return [name[1:] for name in first]
    first = [bare_name(title) for title in titles[0::2]]
    return first if first == [bare_name(title) for title in titles[1::2]] else None


def _single_names(titles: list[bytes]) -> list[bytes]:
    """The name of each read. The common form, without tab and `/1`, is told apart fast."""
    names = [title.partition(b" ")[0] for title in titles]
    if any(b"\t" in name or name.endswith((b"/1", b"/2")) for name in names):
        return [bare_name(title) for title in titles]
    return [name[1:] for name in names]


def _batch(lines: list[bytes], label: str, first_line: int, *, single_end: bool) -> Batch:
    """Make a batch of whole records, or say what is wrong with the first bad one."""
    titles, sequences, pluses, qualities = lines[0::4], lines[1::4], lines[2::4], lines[3::4]
    lengths = list(map(len, qualities))
    names = _single_names(titles) if single_end else _pair_names(titles)
    if (
        len(lines) % (_LINES_PER_READ if single_end else _LINES_PER_PAIR)
        or names is None
        or {title[:1] for title in titles} != {b"@"}
        or not all(plus[:1] == b"+" for plus in set(pluses))
        or min(lengths) < 1
        or list(map(len, sequences)) != lengths
        or not 0 < min(map(len, names)) <= max(map(len, names)) <= _MAX_NAME
    ):
        raise PermanentError(_complaint(lines, label, first_line, single_end=single_end))
    quality = np.frombuffer(b"".join(qualities), dtype=np.uint8)
    if quality.min() < ord("!") or quality.max() > ord("~"):
        raise PermanentError(
            f"{label}: a quality between lines {first_line} and {first_line + len(lines) - 1} is outside '!' to '~' "
            "(Phred + 33). Is the file FASTQ with Sanger qualities?"
        )
    phred = quality - np.uint8(ord("!"))
    scored = np.where(phred >= _SCORED_QUALITY, phred, np.uint8(0))
    if len(set(lengths)) == 1:  # much faster than by starts, and nearly always so
        scores = scored.reshape(len(lengths), -1).sum(axis=1, dtype=np.int64)
    else:
        scores = np.add.reduceat(scored, np.cumsum([0, *lengths[:-1]]), dtype=np.int64)
    return Batch(names, sequences, qualities, scores, len(phred), int(np.count_nonzero(phred >= _Q30)))


def _complaint(lines: list[bytes], label: str, first_line: int, *, single_end: bool) -> str:
    """What is wrong with the first bad record of a batch; the read's name is not repeated in full."""
    names = [bare_name(title) for title in lines[0::4]]
    for record in range(len(lines) // 4):
        title, sequence, plus, quality = lines[4 * record : 4 * record + 4]
        line = first_line + 4 * record
        if not title.startswith(b"@"):
            return f"{label} line {line}: a FASTQ record must start with '@'. Split the FASTQ files again."
        if not 0 < len(names[record]) <= _MAX_NAME:
            return (
                f"{label} line {line}: a read name has {len(names[record])} characters; 1 to {_MAX_NAME} are possible."
            )
        if not plus.startswith(b"+"):
            return f"{label} line {line + 2}: the third line of a FASTQ record must start with '+'. Split again."
        if not sequence or len(sequence) != len(quality):
            return (
                f"{label} line {line + 1}: {len(sequence)} bases but {len(quality)} qualities; both must be "
                f"equal and "
                "at least 1. Split the FASTQ files again."
            )
        if not single_end and record % 2 and names[record] != names[record - 1]:
            return f"{label} line {line}: this R2 has another name than the R1 before it. Are R1 and R2 of one run?"
    what, size = ("read", _LINES_PER_READ) if single_end else ("pair", _LINES_PER_PAIR)
    return (
        f"{label} line {first_line + len(lines) - 1}: the chunk ends inside a {what} ({len(lines)} lines after line "
        f"{first_line - 1}; a {what} has {size}). Split the FASTQ files again."
    )
