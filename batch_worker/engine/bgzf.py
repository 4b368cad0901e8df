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


def write_bgzf(path: Path, pieces: Iterable[bytes], level: int = 1) -> int:
    """Write the pieces as one BGZF file with its end marker; return the compressed size in bytes.

    The first piece (a BAM's header) gets blocks of its own, so that concatenation can drop it without recompressing.
    """
    with path.open("wb") as out:
        waiting = bytearray()
        for number, piece in enumerate(pieces):
            waiting += piece
            full = len(waiting) if number == 0 else len(waiting) // BLOCK_BYTES * BLOCK_BYTES
            with memoryview(waiting) as view:
                for start in range(0, full, BLOCK_BYTES):
                    out.write(_block(view[start : min(start + BLOCK_BYTES, full)], level))
            del waiting[:full]
        if waiting:
            out.write(_block(memoryview(waiting), level))
        out.write(EOF_BLOCK)
        return out.tell()


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
