"""The SAM header of a CRAM 3.0 file: a container of its own at the file's start (CRAM specification 3.1, 7 to 9)."""

import shutil
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from shared.errors import PermanentError

_DEFINITION_BYTES = 26  # magic, version, file id
_COPY_BYTES = 1 << 22
_ITF8_LIMIT = 1 << 28


def replace_header(source: Path, target: Path, text: str) -> None:
    """Write a CRAM with another SAM header; its records are copied as they are.

    samtools writes the path of the reference on its machine into every @SQ (UR), so that equal records would not give
    equal bytes.

    Args:
        source: CRAM 3.x.
        target: The copy.
        text: The header. It must name the same contigs in the same order.

    Raises:
        PermanentError: When the file is no CRAM 3.
    """
    with source.open("rb") as old, target.open("wb") as new:
        definition = old.read(_DEFINITION_BYTES)
        if definition[:4] != b"CRAM" or definition[4] != 3:
            raise PermanentError(f"{source.name} is no CRAM 3 file. Make it again.")
        _skip_container(old, source.name)
        # The file's id is the name that it was written under, and means nothing.
        new.write(definition[:6] + bytes(_DEFINITION_BYTES - 6))
        new.write(_header_container(text.encode("ascii")))
        shutil.copyfileobj(old, new, _COPY_BYTES)


def _header_container(text: bytes) -> bytes:
    """A container of one uncompressed block that holds the header."""
    content = struct.pack("<i", len(text)) + text
    block = _checked(bytes([0, 0, 0]) + _itf8(len(content)) * 2 + content)
    # Reference 0, start, span, records, record counter, bases: all 0; one block, which begins at 0.
    return _checked(struct.pack("<i", len(block)) + bytes(6) + _itf8(1) + _itf8(1) + _itf8(0)) + block


def _skip_container(stream: BinaryIO, name: str) -> None:
    (size,) = struct.unpack("<i", stream.read(4))
    for _ in range(4):  # reference, start, span, records
        _skip_number(stream, most=5)
    for _ in range(2):  # record counter, bases
        _skip_number(stream, most=9)
    _skip_number(stream, most=5)  # blocks
    for _ in range(_small_number(stream, name)):  # landmarks
        _skip_number(stream, most=5)
    stream.seek(4 + size, 1)  # the checksum, and the blocks


def _skip_number(stream: BinaryIO, most: int) -> None:
    """Pass over an ITF8 (at most 5 bytes) or LTF8 (at most 9) number: its first byte's leading ones count the rest."""
    first = stream.read(1)[0]
    ones = 0
    while ones < 8 and first & (0x80 >> ones):
        ones += 1
    stream.seek(min(ones, most - 1), 1)


def _small_number(stream: BinaryIO, name: str) -> int:
    first = stream.read(1)[0]
    if first & 0x80:
        raise PermanentError(f"{name} begins with a container of more than 127 landmarks, which is no header.")
    return first


def _itf8(value: int) -> bytes:
    """A non-negative number as ITF8 (CRAM specification 3.1, 2.3)."""
    assert 0 <= value < _ITF8_LIMIT, value
    if value < 1 << 7:
        return bytes([value])
    if value < 1 << 14:
        return bytes([0x80 | value >> 8, value & 0xFF])
    if value < 1 << 21:
        return bytes([0xC0 | value >> 16, value >> 8 & 0xFF, value & 0xFF])
    return bytes([0xE0 | value >> 24, value >> 16 & 0xFF, value >> 8 & 0xFF, value & 0xFF])


def _checked(data: bytes) -> bytes:
    """Bytes with their CRC32 behind them."""
    return data + struct.pack("<I", zlib.crc32(data))
