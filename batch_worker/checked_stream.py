"""Reading a blob while it is fetched, and knowing in the end that it was the whole of the right one."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from shared.domain.markers import OutputFile
from shared.errors import TransientError
from shared.naming import BlobRef, Container
from shared.ports import BlobStore

_BLOCK_BYTES = 1 << 20


@contextmanager
def checked_stream(blobs: BlobStore, output: OutputFile) -> Iterator[BinaryIO]:
    """A stream over an output that a marker vouches for; size and MD5 are checked when the block ends.

    Until then, what was made of the bytes is in doubt: the block must not publish it.

    Raises:
        TransientError: When the bytes do not fit the marker, whatever error they caused in the block.
    """
    ref = BlobRef(Container(output.container), output.name)
    with blobs.open(ref) as source:
        tally = _Tally(source)
        try:
            # On a stream of its own: who reads may close it.
            yield cast("BinaryIO", io.BufferedReader(cast("Any", tally), _BLOCK_BYTES))
        except TransientError:
            raise
        except Exception:
            tally.check(ref, output)  # a torn read looks like bad data
            raise
        tally.check(ref, output)


class _Tally(io.RawIOBase):
    """Passes bytes on and counts and digests them."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._md5.update(data)
        self._size += len(data)
        return len(data)

    def check(self, ref: BlobRef, output: OutputFile) -> None:
        """Read what nobody read, then compare."""
        rest = bytearray(_BLOCK_BYTES)
        while self.readinto(rest):
            pass
        if self._size != output.size or self._md5.hexdigest() != output.md5:
            raise TransientError(
                f"{ref} has {self._size:,} bytes with MD5 {self._md5.hexdigest()}; its marker says {output.size:,} "
                f"bytes with {output.md5}. It was read while being written, or damaged."
            )
