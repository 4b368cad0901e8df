"""The text of one FASTQ file: unpacked, with plain line ends, in pieces of bounded size."""

import gzip
import io
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, cast

from isal import igzip, igzip_lib

_GZIP_MAGIC = b"\x1f\x8b"
_PACKED_BYTES = 1 << 20  # read from the storage at a time
_PIECE_BYTES = 1 << 17
"""Unpacked bytes asked for at a time, whatever the file claims: a gzip bomb gains nothing. A damaged gzip loses at most
the piece it breaks in; that the size is fixed makes the count of whole reads in the message the same every time."""


@dataclass(frozen=True, slots=True)
class FastqSource:
    """One FASTQ file: a byte stream, and its name for messages, such as ``landing/NA1/NA1_R1.fastq.gz``."""

    stream: BinaryIO
    name: str


class DamageKind(Enum):
    """How a gzip file can be broken."""

    TRUNCATED = "truncated"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Damage:
    """Why the text ends before the file's end; `reason` is the decompressor's."""

    kind: DamageKind
    reason: str


class FastqText:
    r"""Reads gzip (also of several members, or BGZF) or plain text.

    ``\r\n`` becomes ``\n``, and the last line gets its end.

    Attributes:
        damage: Set when `read` came to the end because the gzip data are broken.
    """

    def __init__(self, stream: BinaryIO) -> None:
        buffered = io.BufferedReader(cast("io.RawIOBase", stream), _PACKED_BYTES)
        packed = buffered.peek(2)[:2] == _GZIP_MAGIC
        self._source = cast("io.BufferedReader", igzip.IGzipFile(fileobj=buffered)) if packed else buffered
        self._held = b""  # a carriage return whose line feed may come with the next piece
        self._is_mid_line = False
        self.damage: Damage | None = None

    def read(self) -> bytes:
        """The next piece; empty at the end. Errors of the stream itself (the network's) pass through."""
        while not self.damage:
            piece = self._unpack()
            if not piece:
                return self._last_line_end()
            if self._held or b"\r" in piece:
                piece = self._held + piece
                self._held = piece[-1:] if piece.endswith(b"\r") else b""
                piece = piece.removesuffix(b"\r").replace(b"\r\n", b"\n")
            if piece:
                self._is_mid_line = not piece.endswith(b"\n")
                return piece
        return b""

    def _unpack(self) -> bytes:
        try:
            return self._source.read1(_PIECE_BYTES)
        except EOFError as error:
            self.damage = Damage(DamageKind.TRUNCATED, str(error))
        except (gzip.BadGzipFile, zlib.error, igzip_lib.IsalError) as error:  # type: ignore[misc]  # its stub forgets the base
            self.damage = Damage(DamageKind.CORRUPT, str(error))
        return b""

    def _last_line_end(self) -> bytes:
        is_due = (self._is_mid_line or bool(self._held)) and not self.damage
        self._is_mid_line, self._held = False, b""
        return b"\n" if is_due else b""
