"""What the readers of packed text have in common: how they are asked, and how they say that a file is broken."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from shared.formats.seek_point import SeekPoint

FEED_BYTES = 1 << 16
"""Packed bytes handed to a decompressor at a time, on a grid that begins with the file: the pieces of text, and so the
count of whole reads in a message about damage, do not depend on where reading began."""

PIECE_BYTES = 1 << 17
"""Unpacked bytes asked for at a time, whatever the file claims: a bomb gains nothing."""

HISTORY_BYTES = 3 << 20
"""Text that is remembered to find a seek point in; a chunk's end lies about 1 MiB behind what was unpacked."""


class DamageKind(Enum):
    """How a packed file can be broken."""

    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_WIDE = "too wide"  # sound, but unpacking needs more memory than it gets


@dataclass(frozen=True, slots=True)
class Damage:
    """Why the text ends before the file's end.

    Attributes:
        packing: Name of the packing for messages, such as ``gzip``.
        reason: The decompressor's words.
    """

    kind: DamageKind
    packing: str
    reason: str


class Damaged(Exception):  # noqa: N818 - a state of the file; the lane makes the error of it, with its place
    """The packed data end here, or cannot be read on."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(damage.reason)
        self.damage = damage


class Unpacker(Protocol):
    """Gives a file's text in pieces of at most `PIECE_BYTES`."""

    def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            Damaged: When the packed data are broken; the piece they break in and the one before it may be lost.
        """
        ...

    def point(self, text: int) -> SeekPoint:
        """A place at or before an offset into the text, as near as there is one; the offset lies not far back."""
        ...


class OnePieceBehind:
    """Gives each piece of text out when the one after it is there or the end is sound."""

    def __init__(self, unpack: Callable[[], bytes]) -> None:
        self._unpack = unpack
        self._held: bytes | None = None

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        if self._held is None:
            self._held = self._unpack()
        piece = self._held
        if piece:
            self._held = self._unpack()
        return piece
