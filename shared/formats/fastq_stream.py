"""The text of one FASTQ file: unpacked, with plain line ends, in pieces of bounded size."""

import io
from collections import deque
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from shared.domain.ids import Document
from shared.formats import gzip_text, zstd_text
from shared.formats.gzip_text import GzipText
from shared.formats.plain_text import PlainText
from shared.formats.seek_point import Packing, SeekPoint
from shared.formats.unpacking import HISTORY_BYTES, Damage, Damaged, Unpacker
from shared.formats.zstd_text import ZstdText

_PACKED_BYTES = 1 << 20  # read from the storage at a time


@dataclass(frozen=True, slots=True)
class FastqSource:
    """One FASTQ file: a byte stream, and its name for messages, such as ``landing/NA1/NA1_R1.fastq.gz``."""

    stream: BinaryIO
    name: str


class TextPlace(Document):
    """A place in the text of a file, and how to get there.

    Attributes:
        point: Where unpacking goes on.
        skip: Unpacked bytes to pass over from there.
        skip_lines: After these, bytes of text with plain line ends to pass over.
    """

    point: SeekPoint
    skip: int = 0
    skip_lines: int = 0


@dataclass(frozen=True, slots=True)
class _Span:
    """A piece of text: where it begins in the text with plain line ends, and in the unpacked text."""

    begin: int
    unpacked: int
    is_plain: bool


class FastqText:
    r"""Reads gzip (also of several members, or BGZF), zstd or plain text.

    ``\r\n`` becomes ``\n``, and the last line gets its end.

    Args:
        stream: The file from its beginning, or from the byte of `place.point` on.
        place: Where reading goes on; None at the beginning.

    Attributes:
        damage: Set when `read` came to the end because the packed data are broken.
        end: Text up to the end of the last piece, counted from where unpacking began, in bytes.
    """

    def __init__(self, stream: BinaryIO, place: TextPlace | None = None) -> None:
        buffered = io.BufferedReader(cast("Any", stream), _PACKED_BYTES)
        self._unpacker = _unpacker(buffered, place.point if place else None)
        self._unpacked = place.point.text if place else 0
        self._skip = place.skip if place else 0
        self._skip_lines = place.skip_lines if place else 0
        self._held = b""  # a carriage return whose line feed may come with the next piece
        self._is_mid_line = False
        self._spans = deque([_Span(0, self._unpacked + self._skip, is_plain=False)])
        self.damage: Damage | None = None
        self.end = 0

    def read(self) -> bytes:
        """The next piece; empty at the end. Errors of the stream itself (the network's) pass through."""
        while not self.damage:
            piece = self._unpack()
            if not piece:
                return self._passed_over(self._last_line_end())
            begin = self._unpacked - len(piece) - len(self._held)
            is_plain = not self._held and b"\r" not in piece
            if not is_plain:
                piece = self._held + piece
                self._held = piece[-1:] if piece.endswith(b"\r") else b""
                piece = piece.removesuffix(b"\r").replace(b"\r\n", b"\n")
            if piece:
                self._is_mid_line = not piece.endswith(b"\n")
                self._note(_Span(self.end, begin, is_plain))
                if piece := self._passed_over(piece):
                    return piece
        return b""

    def place(self, end: int) -> TextPlace:
        """The place of an offset into the text, counted as `end` is; it lies not far back."""
        span = next(span for span in reversed(self._spans) if span.begin <= end)
        ahead = end - span.begin
        target = span.unpacked + (ahead if span.is_plain else 0)
        point = self._unpacker.point(target)
        return TextPlace(point=point, skip=target - point.text, skip_lines=0 if span.is_plain else ahead)

    def _note(self, span: _Span) -> None:
        self._spans.append(span)
        while len(self._spans) > 1 and self._spans[1].begin < self.end - HISTORY_BYTES:
            self._spans.popleft()

    def _unpack(self) -> bytes:
        """The next unpacked piece after what is to be passed over."""
        while True:
            try:
                piece = self._unpacker.read()
            except Damaged as error:
                self.damage = error.damage
                return b""
            self._unpacked += len(piece)
            if not piece or len(piece) > self._skip:
                piece, self._skip = piece[self._skip :], 0
                return piece
            self._skip -= len(piece)

    def _passed_over(self, piece: bytes) -> bytes:
        self.end += len(piece)
        if not self._skip_lines:
            return piece
        passed = min(self._skip_lines, len(piece))
        self._skip_lines -= passed
        return piece[passed:]

    def _last_line_end(self) -> bytes:
        is_due = (self._is_mid_line or bool(self._held)) and not self.damage
        self._is_mid_line, self._held = False, b""
        return b"\n" if is_due else b""


def _unpacker(stream: "io.BufferedReader[Any]", point: SeekPoint | None) -> Unpacker:
    head = stream.peek(4)[:4]
    packing = point.packing if point else _packing(head)
    if packing is Packing.GZIP:
        return GzipText(stream, point)
    if packing is Packing.ZSTD:
        return ZstdText(stream, point)
    return PlainText(stream)


def _packing(head: bytes) -> Packing:
    if head.startswith(gzip_text.MAGIC):
        return Packing.GZIP
    return Packing.ZSTD if zstd_text.is_zstd(head) else Packing.PLAIN
