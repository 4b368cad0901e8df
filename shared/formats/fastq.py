"""FASTQ pairs, read in lock-step and checked, with the place of every fault.

Parsing is dnaio's; this module adds decompression of what is found, the pairing rules, and messages that a lab
technician can act on. Only a faulty read's name and number appear in a message.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import dnaio
from dnaio.readers import FastqReader
from isal import igzip, igzip_lib

from shared.errors import PermanentError

if TYPE_CHECKING:
    from dnaio import SequenceRecord

_GZIP_MAGIC = b"\x1f\x8b"
_USUAL = b"ACGTN"
_IUPAC = b"ACGTNRYSWKMBDHVU.-acgtnryswkmbdhvu"
_REASON_SHOWN = 200  # characters; a reason may quote names as long as a line
_UPLOAD_AGAIN = "Upload the file again from the sequencer's output, then upload the order again"


@dataclass(frozen=True, slots=True)
class FastqSource:
    """One FASTQ file: a byte stream, and its name for messages, such as ``landing/NA1/NA1_R1.fastq.gz``."""

    stream: BinaryIO
    name: str


def read_pairs(r1: FastqSource, r2: FastqSource) -> Iterator[tuple["SequenceRecord", "SequenceRecord"]]:
    """Yield the read pairs of two FASTQ files in their order.

    The streams may be gzip (also of several members, or BGZF) or plain text.

    Raises:
        PermanentError: For a file that is damaged, no FASTQ, or no mate of the other one: which file, which read,
            why, and what to do.
    """
    first, second = _records(r1), _records(r2)
    count = 0
    while True:
        one = next(first, None)
        two = next(second, None)
        if one is None or two is None:
            if one is not two:
                raise _unequal(r1, r2, count, one is not None, first if one is not None else second)
            return
        count += 1
        if not one.is_mate(two):
            raise PermanentError(
                f"Mates differ at read {count:,}: {r1.name} has '{one.id}', {r2.name} has '{two.id}'. The files are "
                "not a pair, or one of them was sorted or filtered alone. Upload the matching R1 and R2, then the "
                "order again."
            )
        yield one, two


def _records(source: FastqSource) -> Iterator["SequenceRecord"]:
    """The records of one file, each checked."""
    count = 0
    try:
        with FastqReader(cast("BinaryIO", _decompressed(source))) as reader:
            for record in reader:
                count += 1
                # What is left of the letters once the usual ones are deleted: five times faster than looking at each.
                if (rest := record.sequence.encode().translate(None, _USUAL)) and rest.translate(None, _IUPAC):
                    raise PermanentError(
                        f"{source.name}: read {count:,} ('{record.id}') has letters that are no bases. {_UPLOAD_AGAIN}."
                    )
                yield record
    except dnaio.FastqFormatError as error:
        line = f"line {error.line + 1:,}, " if error.line is not None else ""
        raise PermanentError(
            f"{source.name} is not valid FASTQ at {line}read {count + 1:,}: {_reason(error)}. {_UPLOAD_AGAIN}."
        ) from error
    except EOFError as error:
        raise PermanentError(
            f"{source.name} is truncated: its gzip data ends early, after {count:,} whole reads. The upload or the "
            f"copy was cut off. {_UPLOAD_AGAIN}."
        ) from error
    except (OSError, zlib.error, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub forgets the base class
        raise PermanentError(
            f"{source.name} is damaged: its gzip data cannot be read after {count:,} whole reads ({error}). "
            f"{_UPLOAD_AGAIN}."
        ) from error
    except UnicodeDecodeError as error:
        raise PermanentError(
            f"{source.name} is no FASTQ: it holds bytes that are not text after {count:,} reads. {_UPLOAD_AGAIN}."
        ) from error


def _decompressed(source: FastqSource) -> io.BufferedIOBase:
    buffered = io.BufferedReader(cast("io.RawIOBase", source.stream), 1 << 20)
    if buffered.peek(2)[:2] == _GZIP_MAGIC:
        return cast("io.BufferedIOBase", igzip.IGzipFile(fileobj=buffered))
    return buffered


def _reason(error: dnaio.FastqFormatError) -> str:
    """The parser's reason, its first line, without the record's content, which may be long."""
    reason = str(error.message).partition(". The incomplete final record")[0].partition("\n")[0].strip(" .")
    return reason if len(reason) <= _REASON_SHOWN else reason[:_REASON_SHOWN] + "..."


def _unequal(
    r1: FastqSource, r2: FastqSource, count: int, first_is_longer: bool, longer: Iterator["SequenceRecord"]
) -> PermanentError:
    total = count + 1 + sum(1 for _ in longer)
    short, long = (r2, r1) if first_is_longer else (r1, r2)
    mate = "R2" if first_is_longer else "R1"
    return PermanentError(
        f"{mate} ends early: {short.name} has {count:,} reads, {long.name} has {total:,}. The upload looks truncated "
        "or the files are not a pair. Upload both files again, then the order again."
    )
