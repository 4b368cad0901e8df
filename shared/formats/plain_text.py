"""Text of a file that is not packed: unpacking can go on anywhere."""

import io

from shared.formats.seek_point import Packing, SeekPoint
from shared.formats.unpacking import PIECE_BYTES


class PlainText:
    """Reads a file as it is; implements `unpacking.Unpacker`."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream

    def read(self) -> bytes:
        """The next piece; empty at the end."""
        return self._stream.read1(PIECE_BYTES)

    def point(self, text: int) -> SeekPoint:
        """The offset itself."""
        return SeekPoint(packing=Packing.PLAIN, offset=text, text=text)
