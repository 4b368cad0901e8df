"""Where the unpacking of a file goes on, so that it need not be read from its start again."""

import zlib
from enum import StrEnum, unique
from typing import Self

from pydantic import ConfigDict

from shared.domain.ids import Document


@unique
class Packing(StrEnum):
    """How a text is packed; found by the file's first bytes, not by its name."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"


class SeekPoint(Document):
    """A place in a packed file.

    Attributes:
        offset: Packed bytes before it.
        bit: Bits of the byte there that belong to what comes before; 0 at the start of a gzip member or zstd frame.
        text: Unpacked bytes before it.
        is_inside: Whether it lies inside a gzip member, at the beginning of a deflate block.
        window: For a place inside a member, the text before it that the packed data may refer to; itself packed (zlib).
        crc: For a place inside a member, the CRC-32 of the member's text before it.
        length: For a place inside a member, the length of that text.
    """

    model_config = ConfigDict(val_json_bytes="base64")

    packing: Packing
    offset: int
    bit: int = 0
    text: int
    is_inside: bool = False
    window: bytes = b""
    crc: int = 0
    length: int = 0

    @classmethod
    def inside(cls, offset: int, bit: int, text: int, *, window: bytes, crc: int, length: int) -> Self:
        """A place inside a gzip member; `window` is the text before it."""
        return cls(
            packing=Packing.GZIP,
            offset=offset,
            bit=bit,
            text=text,
            is_inside=True,
            window=zlib.compress(window),
            crc=crc,
            length=length,
        )

    def window_text(self) -> bytes:
        """The text before a place inside a member."""
        return zlib.decompress(self.window)
