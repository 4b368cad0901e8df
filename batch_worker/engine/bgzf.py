"""BGZF (SAM specification 4.1): whole files read with checks, and written block by block with ISA-L."""

import struct
from collections.abc import Iterable
from pathlib import Path

from shared.errors import PermanentError

EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
BLOCK_BYTES = 65_280  # htslib's payload per block: fits 64 KiB even when it does not compress
_HEADER = struct.Struct("<4BI2BH2BHH")
_FIXED = (0x1F, 0x8B, 8, 4, 0, 0, 0xFF, 6, 0x42, 0x43, 2)
_TAIL = struct.Struct("<II")
_STORED = struct.Struct("<BHH")


def _block(payload: memoryview, level: int) -> bytes:
    """One BGZF block; level 0 stores, 1 to 3 deflate with ISA-L."""
    from isal import igzip_lib, isal_zlib

    packed = None
    if level:
        packed = igzip_lib.compress(payload, level=level, flag=igzip_lib.COMP_DEFLATE)
    if packed is None or len(packed) > len(payload) + _STORED.size:
        packed = _STORED.pack(1, len(payload), 0xFFFF - len(payload)) + bytes(payload)
    size = _HEADER.size + len(packed) + _TAIL.size
    return _HEADER.pack(*_FIXED, size - 1) + packed + _TAIL.pack(isal_zlib.crc32(payload), len(payload))


class BgzfWriter:
    """Writes one BGZF file, piece by piece; level 0 stores, 1 to 3 deflate with ISA-L."""

    def __init__(self, path: Path, level: int = 1) -> None:
        self._out = path.open("wb")
        self._level = level
        self._waiting = bytearray()

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes; full blocks are written."""
        self._waiting += piece
        self._write_blocks(len(self._waiting) // BLOCK_BYTES * BLOCK_BYTES)

    def end_block(self) -> None:
        """What comes next begins a block."""
        self._write_blocks(len(self._waiting))

    def close(self) -> int:
        """Write the rest and the end marker; return the compressed size in bytes."""
        self.end_block()
        with self._out:
            self._out.write(EOF_BLOCK)
            return self._out.tell()

    def _write_blocks(self, full: int) -> None:
        with memoryview(self._waiting) as view:
            for start in range(0, full, BLOCK_BYTES):
                self._out.write(_block(view[start : min(start + BLOCK_BYTES, full)], self._level))
        del self._waiting[:full]


def write_bgzf(path: Path, pieces: Iterable[bytes], level: int = 1) -> int:
    """Write the pieces as one BGZF file with its end marker; return the compressed size in bytes.

    The first piece (a BAM's header) gets blocks of its own, so that concatenation can drop it without recompressing.
    """
    writer = BgzfWriter(path, level)
    try:
        for number, piece in enumerate(pieces):
            writer.write(piece)
            if number == 0:
                writer.end_block()
    finally:
        size = writer.close()
    return size


def unpacked_size(path: Path) -> int:
    """How many bytes a BGZF file holds, by the sizes that its blocks name; no more than the blocks' ends are read.

    Raises:
        PermanentError: When it is cut off or no BGZF.
    """
    total = at = 0
    size = path.stat().st_size
    with path.open("rb") as source:
        while at < size:
            head = _HEADER.unpack(source.read(_HEADER.size).ljust(_HEADER.size, b"\0"))
            end = at + head[11] + 1
            if head[:4] != _FIXED[:4] or end > size:
                raise PermanentError(f"{path.name} is no BGZF file at byte {at}, or cut off. Make it again.")
            source.seek(end - _TAIL.size)
            total += _TAIL.unpack(source.read(_TAIL.size))[1]
            at = end
    return total


def read_bgzf(path: Path) -> bytes:
    """The decompressed content of a whole BGZF file.

    Raises:
        PermanentError: When it is cut off, no BGZF, or a block's checksum is wrong.
    """
    data = path.read_bytes()
    if not data.endswith(EOF_BLOCK):
        raise PermanentError(f"{path.name} has no BGZF end marker: it is cut off or no BGZF file. Make it again.")
    out: list[bytes] = []
    at = 0
    while at < len(data):
        head = _HEADER.unpack_from(data, at) if len(data) - at >= len(EOF_BLOCK) else ()
        end = at + head[11] + 1 if head else 0
        if head[:4] != _FIXED[:4] or head[8:11] != _FIXED[8:] or end > len(data):
            raise PermanentError(f"{path.name} is no BGZF file at byte {at}. Make it again.")
        out.append(_payload(path, data, at, end))
        at = end
    return b"".join(out)


def _payload(path: Path, data: bytes, at: int, end: int) -> bytes:
    """The content of the block at bytes `at` to `end`, checked."""
    from isal import igzip_lib, isal_zlib

    crc, size = _TAIL.unpack_from(data, end - _TAIL.size)
    packed = memoryview(data)[at + _HEADER.size : end - _TAIL.size]
    try:
        payload: bytes = igzip_lib.decompress(packed, flag=igzip_lib.DECOMP_DEFLATE, bufsize=max(size, 1))
    except igzip_lib.IsalError:  # type: ignore[misc]  # the stub calls the class an instance
        payload = b""
    if len(payload) != size or isal_zlib.crc32(payload) != crc:
        raise PermanentError(f"{path.name} is damaged in the block at byte {at}. Make it again.")
    return payload
