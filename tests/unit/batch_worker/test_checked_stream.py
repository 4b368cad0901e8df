"""A stream over an output: passed on whole, checked in the end, and the check goes before what its bytes caused."""

import gzip
import hashlib

import pytest

from batch_worker.checked_stream import checked_stream
from shared.domain.markers import OutputFile
from shared.errors import PermanentError, TransientError
from shared.naming import BlobRef, Container
from tests.fakes import FakeBlobs

REF = BlobRef(Container.WORK, "a/chunk.fastq.gz")
DATA = gzip.compress(b"ACGT" * 1_000_000, 0) + b"bytes behind the last member"


@pytest.fixture
def blobs() -> FakeBlobs:
    return FakeBlobs()


def vouched(data: bytes) -> OutputFile:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return OutputFile(container=REF.container, name=REF.name, size=len(data), md5=md5)


def fail_after(blobs: FakeBlobs, size: int, error: Exception) -> None:
    """A task that does not like what it read."""
    with checked_stream(blobs, vouched(DATA)) as stream:
        stream.read(size)
        raise error


def test_the_bytes_come_through_in_order(blobs: FakeBlobs) -> None:
    blobs.put(REF, DATA)
    with checked_stream(blobs, vouched(DATA)) as stream:
        pieces = [stream.read(700_001), stream.read(1), stream.read()]
    assert b"".join(pieces) == DATA


@pytest.mark.parametrize("used", [0, 10, len(DATA)])
def test_what_nobody_reads_is_checked_too(blobs: FakeBlobs, used: int) -> None:
    blobs.put(REF, DATA[:-1] + b"?")
    with (
        pytest.raises(TransientError, match=r"has 4,0.* with MD5 .*; its marker says 4,0"),
        checked_stream(blobs, vouched(DATA)) as stream,
    ):
        stream.read(used)


def test_a_reader_may_close_it(blobs: FakeBlobs) -> None:
    blobs.put(REF, DATA)
    with checked_stream(blobs, vouched(DATA)) as stream:
        stream.read(10)
        stream.close()


def test_a_torn_read_is_told_before_the_bad_data_that_it_looks_like(blobs: FakeBlobs) -> None:
    blobs.put(REF, DATA[:100])
    with pytest.raises(TransientError, match="has 100 bytes") as raised:
        fail_after(blobs, -1, PermanentError("the chunk ends inside a pair"))
    assert isinstance(raised.value.__context__, PermanentError)


def test_bad_data_that_came_whole_stays_bad_data(blobs: FakeBlobs) -> None:
    blobs.put(REF, DATA)
    with pytest.raises(PermanentError, match="no FASTQ"):
        fail_after(blobs, 5, PermanentError("this is no FASTQ"))
