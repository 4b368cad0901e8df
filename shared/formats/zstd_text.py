"""Text of a zstd file (RFC 8878): one frame or several. Unpacking can go on at the beginning of a frame."""

import io
import sys
from collections import deque

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from shared.formats.seek_point import Packing, SeekPoint
from shared.formats.unpacking import FEED_BYTES, HISTORY_BYTES, PIECE_BYTES, Damage, Damaged, DamageKind, OnePieceBehind

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f: a frame without text, which pzstd begins with

MAX_WINDOW_LOG = 27
"""128 MiB: what `zstd -d` takes without being told, also of `--ultra -22` and `--long`. A frame that asks for more is
refused."""


def is_zstd(head: bytes) -> bool:
    """Whether a file that begins so is zstd."""
    return head[:4] == MAGIC or (head[1:4] == _SKIPPABLE_MAGIC and head[0] & 0xF0 == 0x50)


class ZstdText:
    """Reads zstd; implements `unpacking.Unpacker`. Checksums are checked in the frames that have them.

    Args:
        stream: From the beginning of the file, or from the byte of `point` on.
        point: Where reading goes on; None at the beginning.
    """

    def __init__(self, stream: io.BufferedReader, point: SeekPoint | None = None) -> None:
        self._stream = stream
        self._decoder: ZstdDecompressor | None = None  # None before a frame
        self._rest = b""
        self._offset = point.offset if point else 0
        self._text = point.text if point else 0
        self._behind = OnePieceBehind(self._unpack)
        self._starts = deque([point or SeekPoint(packing=Packing.ZSTD, offset=0, text=0)])

    def read(self) -> bytes:
        """The next piece; empty at the end. Each is given out when the one after it is there or the end is sound."""
        return self._behind.read()

    def point(self, text: int) -> SeekPoint:
        """The last frame that begins at or before an offset into the text."""
        while len(self._starts) > 1 and self._starts[1].text <= text:
            self._starts.popleft()
        return self._starts[0]

    def _unpack(self) -> bytes:
        while self._decoder is not None or self._open_frame():
            assert self._decoder is not None
            data = b""
            if self._decoder.needs_input:
                data = self._rest or self._feed()
                self._rest = b""
                if not data:
                    reason = "the data end before the end of the last frame"
                    raise Damaged(Damage(DamageKind.TRUNCATED, "zstd", reason))
            try:
                piece = self._decoder.decompress(data, PIECE_BYTES)
            except ZstdError as error:
                kind = DamageKind.TOO_WIDE if "too much memory" in str(error) else DamageKind.CORRUPT
                raise Damaged(Damage(kind, "zstd", str(error))) from error
            self._text += len(piece)
            if self._decoder.eof:
                self._rest = self._decoder.unused_data
                self._decoder = None
            if piece:
                return piece
        return b""

    def _feed(self) -> bytes:
        data = self._stream.read(FEED_BYTES - self._offset % FEED_BYTES)
        self._offset += len(data)
        return data

    def _open_frame(self) -> bool:
        self._rest = self._rest or self._feed()
        if not self._rest:
            return False
        begin = self._offset - len(self._rest)
        self._starts.append(SeekPoint(packing=Packing.ZSTD, offset=begin, text=self._text))
        while len(self._starts) > 1 and self._starts[1].text < self._text - HISTORY_BYTES:
            self._starts.popleft()
        self._decoder = ZstdDecompressor(options={DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
        return True
