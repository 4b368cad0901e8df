"""Text of a gzip file: one member, several, or BGZF; with places where unpacking can go on later.

The members are unpacked here and not by a file class, because the places of packed data that belong to a text must be
known. Checksum and length of every member are checked, also of one that reading went on inside of: the running checksum
is part of the place.
"""

import io
import struct
from collections import deque
from dataclasses import dataclass

from isal import igzip_lib, isal_zlib

from shared.formats.deflate_blocks import WINDOW_BYTES, last_block, with_prefix
from shared.formats.seek_point import Packing, SeekPoint
from shared.formats.unpacking import FEED_BYTES, HISTORY_BYTES, PIECE_BYTES, Damage, Damaged, DamageKind, OnePieceBehind

MAGIC = b"\x1f\x8b"

_SPAN_BYTES = 4 * FEED_BYTES
"""Packed data that are searched for a place. The longest blocks of the usual programs have 100 KiB."""

_HEADER_LIMIT = 1 << 18
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16
_TRAILER_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text of one member: offset into the whole text, checksum of the member before it, offset of the feed it is of."""

    begin: int
    crc: int
    text: bytes
    feed: int


class GzipText:
    """Reads gzip; implements `unpacking.Unpacker`.

    Args:
        stream: From the beginning of the file, or from the byte of `point` on.
        point: Where reading goes on; None at the beginning.
    """

    def __init__(self, stream: io.BufferedReader, point: SeekPoint | None = None) -> None:
        self._stream = stream
        self._decoder: igzip_lib.IgzipDecompressor | None = None  # None before a member
        self._offset = point.offset if point else 0  # packed bytes read
        self._rest = b""  # read, and not yet given to a decoder
        self._crc = self._length = 0
        self._text = point.text if point else 0  # unpacked bytes
        self._behind = OnePieceBehind(self._unpack)
        self._pieces: deque[_Piece] = deque()  # of the current member
        self._kept = 0  # bytes in them
        self._feeds: deque[tuple[int, bytes]] = deque()  # offset and data
        self._syncs: deque[tuple[int, int]] = deque()  # all before this packed offset gives all before this of the text
        self._starts: deque[SeekPoint] = deque()  # of the members in reach; the last place before, if there is none
        if point is None:
            point = SeekPoint(packing=Packing.GZIP, offset=0, text=0)
        self._starts.append(point)
        if point.is_inside:
            self._go_on(point)

    def read(self) -> bytes:
        """The next piece; empty at the end. Each is given out when the one after it is there or the end is sound."""
        return self._behind.read()

    def point(self, text: int) -> SeekPoint:
        """The last beginning of a member or block at or before an offset into the text that is in reach."""
        while len(self._starts) > 1 and self._starts[1].text <= text:
            self._starts.popleft()
        start = self._starts[0]
        if len(self._starts) == 1 and text - start.text > WINDOW_BYTES and (found := self._block(text)):
            self._starts[0] = start = found
        return start

    # --- unpacking -----------------------------------------------------------------------------------------

    def _unpack(self) -> bytes:
        while self._decoder is not None or self._open_member():
            assert self._decoder is not None
            data = b""
            if self._decoder.needs_input:
                data = self._rest or self._feed()
                self._rest = b""
                if not data:
                    raise _truncated()
            try:
                piece: bytes = self._decoder.decompress(data, PIECE_BYTES)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub forgets the base
                raise _corrupt(str(error)) from error
            if piece:
                self._note(piece)
            if self._decoder.eof:
                self._rest = self._decoder.unused_data
                self._close_member()
            elif self._decoder.needs_input:
                self._syncs.append((self._offset, self._text))
            if piece:
                return piece
        return b""

    def _feed(self) -> bytes:
        data = self._stream.read(FEED_BYTES - self._offset % FEED_BYTES)
        if data:
            self._feeds.append((self._offset, data))
            self._offset += len(data)
        return data

    def _open_member(self) -> bool:
        """Begin with the next member; whether there is one. Zeros after a member are padding."""
        while not (rest := self._rest.lstrip(b"\0")):
            rest = self._rest = self._feed()
            if not rest:
                return False
        self._rest = rest
        begin = self._offset - len(self._rest)
        while (end := _header_end(self._rest)) is None:
            more = self._feed()
            if not more:
                raise _truncated()
            self._rest += more
        self._begin_member(SeekPoint(packing=Packing.GZIP, offset=begin, text=self._text))
        self._rest = self._rest[end:]
        self._decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        return True

    def _close_member(self) -> None:
        while len(self._rest) < _TRAILER_BYTES:
            more = self._feed()
            if not more:
                raise _truncated()
            self._rest += more
        crc, length = struct.unpack("<II", self._rest[:_TRAILER_BYTES])
        if crc != self._crc:
            raise _corrupt(f"CRC check failed {crc:#x} != {self._crc:#x}")
        if length != self._length & 0xFFFFFFFF:
            raise _corrupt("Incorrect length of data produced")
        self._rest = self._rest[_TRAILER_BYTES:]
        self._decoder = None

    def _go_on(self, point: SeekPoint) -> None:
        window = point.window_text()
        first = self._feed()
        if not first:
            raise _truncated()
        self._rest = with_prefix(first, point.bit)
        self._decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, zdict=window)
        self._crc, self._length = point.crc, point.length

    # --- places --------------------------------------------------------------------------------------------

    def _begin_member(self, start: SeekPoint) -> None:
        self._crc = self._length = 0
        self._starts.append(start)
        while len(self._starts) > 1 and self._starts[1].text < self._text - HISTORY_BYTES:
            self._starts.popleft()
        self._pieces.clear()
        self._syncs.clear()
        self._kept = 0
        while len(self._feeds) > 1:
            self._feeds.popleft()

    def _note(self, piece: bytes) -> None:
        self._pieces.append(_Piece(self._text, self._crc, piece, self._feeds[-1][0]))
        self._crc = isal_zlib.crc32(piece, self._crc)
        self._length += len(piece)
        self._text += len(piece)
        self._kept += len(piece)
        while self._kept > HISTORY_BYTES:
            self._kept -= len(self._pieces.popleft().text)
        oldest = self._pieces[0]
        while self._feeds[0][0] < oldest.feed:
            self._feeds.popleft()
        while self._syncs and self._syncs[0][1] < oldest.begin:
            self._syncs.popleft()

    def _block(self, limit: int) -> SeekPoint | None:
        """The last block that begins at or before an offset into the text, as a place; None when none is found."""
        at = next((at for at in reversed(range(len(self._syncs))) if self._syncs[at][1] <= limit), None)
        if at is None or not self._pieces:
            return None
        # What is unpacked from a place must come out as known: the more of it, the surer. So one feed more is taken.
        end, text_end = self._syncs[min(at + 1, len(self._syncs) - 1)]
        searched = self._syncs[at][0]
        first = self._pieces[0].begin
        text = b"".join(piece.text for piece in self._pieces)[: text_end - first]
        feeds = [(offset, data) for offset, data in self._feeds if offset < end]
        for begin in range(searched - FEED_BYTES, searched - _SPAN_BYTES - 1, -FEED_BYTES):
            span = [(offset, data) for offset, data in feeds if offset + len(data) > begin]
            offset = span[0][0]
            packed = b"".join(data for _, data in span)
            if found := last_block(packed, begin + FEED_BYTES - offset, text, limit - first):
                return self._inside(offset, *found, text)
            if offset == feeds[0][0]:
                return None
        return None

    def _inside(self, offset: int, bit: int, at: int, text: bytes) -> SeekPoint:
        first = self._pieces[0].begin
        piece = next(piece for piece in reversed(self._pieces) if piece.begin - first <= at)
        crc = isal_zlib.crc32(text[piece.begin - first : at], piece.crc)
        begin = first + at
        return SeekPoint.inside(
            offset + (bit >> 3),
            bit & 7,
            begin,
            window=text[at - WINDOW_BYTES : at],
            crc=crc,
            length=self._length - (self._text - begin),
        )


def _header_end(data: bytes) -> int | None:
    """Where the member's header ends; None when more data are needed (RFC 1952, section 2.3)."""
    if data[:2] != MAGIC[: len(data[:2])]:
        raise _corrupt(f"Not a gzipped file ({data[:2]!r})")
    if len(data) < 10:
        return None
    method, flags = data[2], data[3]
    if method != 8:
        raise _corrupt("Unknown compression method")
    at = 10
    if flags & _HAS_EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            at = data.find(b"\0", at) + 1
            if at == 0:
                if len(data) > _HEADER_LIMIT:
                    raise _corrupt("The header does not end")
                return None
    if flags & _HAS_CRC:
        at += 2
    return at if at <= len(data) else None


def _truncated() -> Damaged:
    return Damaged(Damage(DamageKind.TRUNCATED, "gzip", "the data end before the end of the last member"))


def _corrupt(reason: str) -> Damaged:
    return Damaged(Damage(DamageKind.CORRUPT, "gzip", reason))
