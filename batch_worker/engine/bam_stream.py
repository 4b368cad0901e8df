"""A BAM part read front to back in pieces of whole records, in memory of a few pieces."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from batch_worker.engine.bgzf import EOF_BLOCK
from batch_worker.engine.packed import Records, records_of
from shared.errors import PermanentError

_PIECE_BYTES = 8 << 20
_SIZE = struct.Struct("<i")


class BamStream:
    """Iterates over a BAM's records, some thousand at a time.

    Attributes:
        header: The binary header, as it is in the file.

    Raises:
        PermanentError: When the file is damaged, cut off or no BAM; while iterating, too.
    """

    def __init__(self, path: Path) -> None:
        from isal import igzip

        self._name = path.name
        with path.open("rb") as raw:
            raw.seek(max(0, path.stat().st_size - len(EOF_BLOCK)))
            if raw.read() != EOF_BLOCK:
                raise self._error("has no BGZF end marker: it is cut off or no BGZF file")
        self._source: IO[bytes] = igzip.open(path, "rb")
        self.header = self._read_header()

    def __iter__(self) -> Iterator[Records]:
        with self._source:
            rest = b""
            while more := self._read(_PIECE_BYTES):
                data = rest + more
                offsets, at = [], 0
                while len(data) - at >= _SIZE.size and (stop := at + 4 + _SIZE.unpack_from(data, at)[0]) <= len(data):
                    offsets.append(at)
                    at = stop
                rest = data[at:]
                yield records_of(data[:at], np.array(offsets, dtype=np.int64))
            if rest:
                raise self._error("ends inside a record")

    def _read_header(self) -> bytes:
        magic = self._exactly(4)
        if magic != b"BAM\x01":
            raise self._error("is no BAM file")
        parts = [magic]
        text_size = self._exactly(4)
        parts += [text_size, self._exactly(*_SIZE.unpack(text_size))]
        count = self._exactly(4)
        parts.append(count)
        for _ in range(*_SIZE.unpack(count)):
            name_size = self._exactly(4)
            parts += [name_size, self._exactly(_SIZE.unpack(name_size)[0] + 4)]
        return b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise self._error("ends inside its header")
        return data

    def _read(self, size: int) -> bytes:
        from isal import igzip_lib

        try:
            return self._source.read(size)
        except (OSError, EOFError, zlib.error, igzip_lib.IsalError) as error:  # type: ignore[misc]  # the stub calls it an instance
            raise self._error(f"is damaged ({error})") from error

    def _error(self, what: str) -> PermanentError:
        return PermanentError(f"{self._name} {what}. Make it again.")
