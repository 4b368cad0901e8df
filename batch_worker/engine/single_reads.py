"""Single-end reads through an aligner that takes pairs: what goes in, and its records as those of single reads.

Two consecutive reads go in as one pair, with insert sizes that have failed in every orientation: then the aligner
neither rescues nor pairs, and ranks each read by its own number in the batch, as `bwa mem` does with single-end reads.
What it writes of the other read is taken out of the records again.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from batch_worker.engine.chunk_reads import Batch
from batch_worker.engine.packed import (
    FIRST,
    FIXED,
    MATE_REVERSE,
    MATE_UNMAPPED,
    NOT_PRIMARY,
    PAIRED,
    PROPER_PAIR,
    REVERSE,
    SECOND,
    UNMAPPED,
)
from shared.errors import LedgerError

_OF_PAIRS = PAIRED | PROPER_PAIR | MATE_UNMAPPED | MATE_REVERSE | FIRST | SECOND
_FIXED = struct.Struct("<iiiBBHHHiiii")
_NOWHERE = -1
_UNPLACED_BIN = 4680  # reg2bin(-1, 0), SAM specification 4.2.1
_DUMMY_BASES, _DUMMY_QUALITIES = b"N" * 30, b"!" * 30  # longer than a seed, and aligned nowhere
_VALUE_BYTES = {"A": 1, "c": 1, "C": 1, "s": 2, "S": 2, "i": 4, "I": 4, "f": 4}
_LETTERS = "=ACMGRSVTWYHKDBN"  # of BAM's four-bit bases
_COMPLEMENTS = bytes(_LETTERS.index(base) for base in "=TGKCYSBAWRDMHVN")


def failed_insert_sizes(index: Any, options: Any) -> Any:
    """The aligner's insert sizes (`MemPeStat`) that pair no reads: as it finds them where nothing aligns.

    Args:
        index: A `bwa_mem3.BwaIndex`.
        options: A `bwa_mem3.MemOpts`.
    """
    import bwa_mem3

    nothing = bwa_mem3.ReadPair(b"n", _DUMMY_BASES, b"n", _DUMMY_BASES, _DUMMY_QUALITIES, _DUMMY_QUALITIES)
    _, failed = bwa_mem3.align_batch(index, options, [nothing])
    return failed


def paired_by_two(batch: Batch) -> list[Any]:
    """Consecutive reads of a single-end batch as the aligner's pairs; an odd last one with a mate of Ns."""
    import bwa_mem3

    names, sequences, qualities = batch.names, batch.sequences, batch.qualities
    if len(names) % 2:
        sequences, qualities = [*sequences, _DUMMY_BASES], [*qualities, _DUMMY_QUALITIES]
    return [
        bwa_mem3.ReadPair(name, sequences[i], name, sequences[i + 1], qualities[i], qualities[i + 1])
        for name, i in zip(names[0::2], range(0, len(sequences), 2), strict=True)
    ]


def as_single(aligned: Sequence[bytes], names: Sequence[bytes]) -> list[bytes]:
    """The records of a single-end batch from those of its pairs by two.

    Args:
        aligned: Packed records in the order of the reads, each read's primary one first.
        names: Of the reads.

    Raises:
        LedgerError: When the records are not those of the reads in their order.
    """
    singles: list[bytes] = []
    read = -1
    for record in aligned:
        flag = _FIXED.unpack_from(record)[7]
        read += flag & NOT_PRIMARY == 0
        if read < 0 or bool(flag & FIRST) == bool(read % 2):
            raise _disordered(len(names))
        if read < len(names):
            singles.append(_as_single(record, names[read]))
    if read + 1 != len(names) + len(names) % 2:
        raise _disordered(len(names))
    return singles


def _disordered(reads: int) -> LedgerError:
    return LedgerError(
        f"The aligner did not give one primary record for each of {reads:,} single reads in their order. Is this a "
        "supported version of bwa-mem3?"
    )


def _as_single(record: bytes, name: bytes) -> bytes:
    _, ref, pos, name_length, mapq, bin_, cigar_ops, flag, bases, *_ = _FIXED.unpack_from(record)
    body = record[FIXED.itemsize + name_length :]
    tags_at = 4 * cigar_ops + (bases + 1) // 2 + bases
    if flag & UNMAPPED:
        ref, pos, bin_ = _NOWHERE, _NOWHERE, _UNPLACED_BIN
        if flag & REVERSE:  # it was laid beside the other read, on that one's strand
            flag ^= REVERSE
            body = _as_read(body[:tags_at], bases) + body[tags_at:]
    body = body[:tags_at] + b"".join(_tags_of_one(body, tags_at))
    size = FIXED.itemsize - 4 + len(name) + 1 + len(body)
    head = _FIXED.pack(
        size, ref, pos, len(name) + 1, mapq, bin_, cigar_ops, flag & ~_OF_PAIRS, bases, _NOWHERE, _NOWHERE, 0
    )
    return b"".join((head, name, b"\0", body))


def _tags_of_one(body: bytes, at: int) -> Iterator[bytes]:
    """The tags from a place on, without those about the mate."""
    begin = at
    while at < len(body):
        name, kind = body[at : at + 2], chr(body[at + 2])
        if kind in "ZH":
            end = body.index(b"\0", at) + 1
        elif kind == "B":
            (items,) = struct.unpack_from("<i", body, at + 4)
            end = at + 8 + items * _VALUE_BYTES[chr(body[at + 3])]
        else:
            end = at + 3 + _VALUE_BYTES[kind]
        if name in {b"MC", b"MQ"}:
            yield body[begin:at]
            begin = end
        at = end
    yield body[begin:]


def _as_read(packed: bytes, bases: int) -> bytes:
    """Bases and qualities of an unmapped record (it has no CIGAR) on the other strand."""
    half = (bases + 1) // 2
    codes = [code for byte in packed[:half] for code in (byte >> 4, byte & 15)][:bases]
    turned = [_COMPLEMENTS[code] for code in reversed(codes)] + [0] * (bases % 2)
    return bytes(high << 4 | low for high, low in zip(turned[0::2], turned[1::2], strict=True)) + packed[half:][::-1]
