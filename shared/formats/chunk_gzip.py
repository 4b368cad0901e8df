"""Gzip whose bytes depend on the text only: not on the hour, nor on how the text came."""

from typing import Protocol

from isal import isal_zlib

COMPRESSION_LEVEL = 1
"""Chunks live for minutes; the fastest level costs a fifth of the default's time."""

PIECE_BYTES = 1 << 18
"""Text that is compressed at a time. The compressor's output depends on it, so it is always the same."""

_GZIP_WINDOW = 31  # a window of 32 KiB, with a gzip header (no time, no name) and trailer


class _Target(Protocol):
    def write(self, data: bytes, /) -> int: ...


class ChunkGzip:
    """Compresses text into one gzip member; `close` writes its end.

    Args:
        target: Takes the packed bytes.
    """

    def __init__(self, target: _Target) -> None:
        self._target = target
        self._packer = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
        self._rest = b""

    def write(self, text: bytes) -> None:
        """Add text of any length."""
        at = 0
        if self._rest:
            at = PIECE_BYTES - len(self._rest)
            piece = self._rest + text[:at]
            if len(piece) < PIECE_BYTES:
                self._rest = piece
                return
            self._pack(piece)
        view = memoryview(text)
        while at + PIECE_BYTES <= len(text):
            self._pack(view[at : at + PIECE_BYTES])
            at += PIECE_BYTES
        self._rest = text[at:]

    def close(self) -> None:
        """Write what is left and the trailer."""
        self._pack(self._rest)
        self._rest = b""
        self._target.write(self._packer.flush())

    def _pack(self, piece: bytes | memoryview) -> None:
        if packed := self._packer.compress(piece):
            self._target.write(packed)
