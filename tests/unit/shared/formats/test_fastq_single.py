"""Single-end FASTQ: the same reads however the file is packed, read and cut; and files that are not single-end."""

import gzip
import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.formats.fastq import FastqSource, PairsPlace
from shared.formats.fastq_single import FastqSingles
from tests.fastq_text import bgzf, fastq
from tests.unit.shared.formats.test_fastq_properties import Trickle, corrupted

NAME = "landing/NA1/NA1.fastq.gz"
INTERLEAVED = b"".join(b"@p%d\nACGT\n+\nFF:F\n" % (number // 2) for number in range(8))


def outcome(data: bytes, block_bytes: int, *, seed: int | None = None, take: int = 1_000) -> tuple[bytes, str]:
    """The reads that came out, and the message of the fault."""
    stream = io.BytesIO(data) if seed is None else Trickle(data, seed)
    reads = FastqSingles(FastqSource(stream, NAME), block_bytes=block_bytes)
    text = b""
    try:
        while block := reads.take(take):
            assert block.text().count(b"\n") == 4 * block.count
            text += block.text()
    except PermanentError as error:
        return text, str(error)
    assert text.count(b"\n") == 4 * reads.count
    return text, ""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzf], ids=["plain", "gzip", "bgzf"])
def test_every_packing_gives_the_reads_as_they_are(pack: Callable[[bytes], bytes]) -> None:
    assert outcome(pack(fastq(50, 1)), 1 << 19) == (fastq(50, 1), "")


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(pair=corrupted(), block_bytes=st.integers(1, 3_000), seed=st.integers(0, 99), take=st.integers(1, 20))
def test_blocks_and_single_records_agree_on_every_file(
    pair: tuple[bytes, bytes], block_bytes: int, seed: int, take: int
) -> None:
    for data in pair:
        single = outcome(data, 0)
        assert outcome(data, 1 << 19) == single
        assert outcome(data, block_bytes, seed=seed, take=take) == single


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bgzf], ids=["plain", "gzip", "bgzf"])
@pytest.mark.parametrize("first", [2, 3, 20, 49])
def test_reading_goes_on_from_any_place(pack: Callable[[bytes], bytes], first: int) -> None:
    data = pack(fastq(50, 1))
    reads = FastqSingles(FastqSource(io.BytesIO(data), NAME), block_bytes=400)
    text = b""
    while reads.count < first:
        block = reads.take(first - reads.count)
        assert block is not None
        text += block.text()
    place = PairsPlace.model_validate_json(reads.place().to_json())
    assert (place.pairs, len(place.lanes)) == (first, 1)
    stream = io.BytesIO(data)
    stream.seek(place.r1.place.point.offset)
    rest = FastqSingles(FastqSource(stream, NAME), begin=place)
    while block := rest.take(7):
        text += block.text()
    assert text == fastq(50, 1)
    assert rest.count == 50


@pytest.mark.parametrize("block_bytes", [0, 1 << 19])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (fastq(3, 2), r"NA1\.fastq\.gz is not single-end: read 1 \('M1:7:0'\) is a second mate"),
        (fastq(3, 1) + fastq(1, 2, begin=3), r"read 4 \('M1:7:3'\) is a second mate\. Upload R1 and R2 as two files"),
        (b"@a/1\nA\n+\nF\n@b/2\nA\n+\nF\n", r"read 2 \('b/2'\) is a second mate"),
        (INTERLEAVED, "its first two reads have one name: it holds pairs, R1 and R2 by turns"),
        (fastq(2, 1) + b"@x\nAC\n+\nF\n", "not valid FASTQ at line 12, read 3 .*2 bases, 1 qualities"),
        (gzip.compress(fastq(900, 1))[:-20], r"is truncated: its gzip data ends early"),
    ],
)
def test_files_that_are_faulty_or_hold_mates_are_refused_with_the_place(
    data: bytes, message: str, block_bytes: int
) -> None:
    _, found = outcome(data, block_bytes)
    assert found
    with pytest.raises(PermanentError, match=message):
        raise PermanentError(found)


def test_two_reads_of_one_name_elsewhere_are_no_fault() -> None:
    data = fastq(4, 1) + b"@M1:7:3\nAC\n+\nFF\n"
    assert outcome(data, 1 << 19) == (data, "")


def test_phred_64_is_seen_in_one_file_too() -> None:
    data = b"".join(b"@r%d\nACGTA\n+\nhhgBa\n" % number for number in range(50))
    for block_bytes in (0, 100, 1 << 19):
        assert "looks like Phred+64" in outcome(data, block_bytes)[1]
