"""Blocks and single records agree on every file, good or faulty, to the letter of the message."""

import gzip
import io
import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.formats.chunk_gzip import PIECE_BYTES, ChunkGzip
from shared.formats.fastq import SAME_PAIRS, FastqPairs, FastqSource

NAMES = st.sampled_from(
    ["A1:7:{n} {m}:N:0:AC", "A1:{n}/{m}", "SRR1.{n} {n} length=5", "r{n}", "r{n}\tx y", "r{n}/1/{m}"]
)
Read = tuple[str, str, str, str]  # the lines of R1 or R2, with {n} and {m} in the name


class Trickle(io.RawIOBase):
    """A stream that gives few bytes at a time, so that pieces end anywhere."""

    def __init__(self, data: bytes, seed: int) -> None:
        super().__init__()
        self._data, self._at, self._random = data, 0, random.Random(seed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        size = min(len(buffer), 4 if self._at == 0 else self._random.choice([1, 2, 7, 50, 400]))
        part = self._data[self._at : self._at + size]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def outcome(r1: bytes, r2: bytes, block_bytes: int, *, seed: int | None = None, take: int = 1_000) -> tuple[bytes, str]:
    """The pairs that came out, and the message of the fault."""
    streams = [io.BytesIO(data) if seed is None else Trickle(data, seed) for data in (r1, r2)]
    sources = (FastqSource(stream, f"R{mate}") for mate, stream in enumerate(streams, 1))
    pairs = FastqPairs(*sources, block_bytes=block_bytes)
    text, names = b"", []
    try:
        while block := pairs.take(take):
            text += block.text()
            names += [block.first_name, block.last_name]
    except PermanentError as error:
        return text, str(error)
    if text:
        lines = text.decode().splitlines()
        assert names[0] == lines[0][1:].split()[0]
        assert names[-1] == lines[-8][1:].split()[0]
    return text, ""


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bytes]:
    name = draw(NAMES)
    texts = ["", ""]
    is_uniform = draw(st.booleans())
    repeats = draw(st.booleans())
    for number in range(draw(st.integers(0, 12))):
        for mate in (1, 2):
            size = 5 if is_uniform else draw(st.integers(1, 30))
            bases = draw(st.text("ACGTN" if draw(st.booleans()) else "ACGTNacgtRYK.", min_size=size, max_size=size))
            quality = draw(st.text("!#+@IFJ~" if draw(st.booleans()) else "Bbh", min_size=size, max_size=size))
            title = name.format(n=number, m=mate)
            texts[mate - 1] += f"@{title}\n{bases}\n+{title if repeats else ''}\n{quality}\n"
    return texts[0].encode(), texts[1].encode()


@st.composite
def corrupted(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two files, one of them with up to two changes of the kinds that happen."""
    texts = [bytearray(text) for text in draw(files())]
    for _ in range(draw(st.integers(0, 2))):
        text = draw(st.sampled_from(texts))
        at = draw(st.integers(0, len(text)))
        change = draw(st.integers(0, 5))
        if change == 0:
            text[at : at + 1] = draw(
                st.sampled_from([b"", b"\n", b"\r\n", b"\r", b" ", b"@", b"+", b"E", b"\x7f", b"\0", b"\xe4"])
            )
        elif change == 1:
            del text[at:]
        elif change == 2:
            text[at:at] = b"\n"
        elif change == 3:
            text[at:at] = b"A" * draw(st.sampled_from([1, 254, 255, 1_000, 1_024, 1_025]))
        elif change == 4:
            lines = bytes(text).splitlines(keepends=True)
            if lines:
                del lines[draw(st.integers(0, len(lines) - 1))]
            text[:] = b"".join(lines)
        else:
            text[:] = text.replace(b"\n", b"\r\n")
    return bytes(texts[0]), bytes(texts[1])


@pytest.mark.thorough
@settings(max_examples=400, deadline=None)
@given(pair=corrupted(), block_bytes=st.integers(1, 3_000), seed=st.integers(0, 99), take=st.integers(1, 20))
def test_blocks_and_single_records_agree_on_every_file(
    pair: tuple[bytes, bytes], block_bytes: int, seed: int, take: int
) -> None:
    single = outcome(*pair, 0)
    assert outcome(*pair, 1 << 19) == single
    assert outcome(*pair, block_bytes, seed=seed, take=take) == single
    assert len(single[1]) < 1_000
    assert "\n" not in single[1]


@settings(max_examples=100, deadline=None)
@given(pair=files(), block_bytes=st.integers(1, 3_000), seed=st.integers(0, 99))
def test_reads_come_out_as_they_went_in(pair: tuple[bytes, bytes], block_bytes: int, seed: int) -> None:
    text, message = outcome(*pair, block_bytes, seed=seed)
    if message:
        assert "same reads" in message or "Phred+64" in message
    one, two = (data.decode().splitlines() for data in pair)
    expected = [
        "+" if number % 4 == 2 else line
        for at in range(0, len(one), 4)
        for number, line in enumerate([*one[at : at + 4], *two[at : at + 4]])
    ]
    assert text.decode().splitlines() == expected


@pytest.mark.thorough
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_gzip_is_told_in_the_same_words_whatever_the_block(data: st.DataObject) -> None:
    text = "".join(f"@r{n}/1\n{'ACGT' * 20}\n+\n{'I#' * 40}\n" for n in range(4_000)).encode()
    packed = bytearray(gzip.compress(text, 1, mtime=0))
    at = data.draw(st.integers(10, len(packed) - 1))
    if data.draw(st.booleans()):
        del packed[at:]
    else:
        packed[at] ^= 1 << data.draw(st.integers(0, 7))
    mate = text.replace(b"/1\n", b"/2\n")
    single = outcome(bytes(packed), mate, 0)
    assert "R1" in single[1]  # a flipped bit may change the text before the checksum is reached
    assert outcome(bytes(packed), mate, data.draw(st.integers(1, 400_000)), take=700) == single


@given(pairs=st.integers(SAME_PAIRS - 2, SAME_PAIRS + 2), block_bytes=st.integers(1, 100_000))
@example(pairs=SAME_PAIRS, block_bytes=1)
@settings(max_examples=10, deadline=None)
def test_one_file_given_twice_is_found_at_the_same_read(pairs: int, block_bytes: int) -> None:
    text = "".join(f"@r{n}\nACGT\n+\nII#I\n" for n in range(pairs)).encode()
    assert outcome(text, text, block_bytes, take=77) == outcome(text, text, 0)
    assert "one file was uploaded twice" in outcome(text, text, block_bytes)[1]
    assert outcome(text + b"@x\nA\n+\n#\n", text + b"@x\nC\n+\n#\n", 0)[1] == (
        "" if pairs < SAME_PAIRS else outcome(text, text, 0)[1]
    )


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * PIECE_BYTES), max_size=8))
def test_a_chunks_bytes_do_not_depend_on_how_its_text_came(cuts: list[int]) -> None:
    text = random.Random(1).randbytes(3 * PIECE_BYTES // 2).hex().encode()
    bounds = sorted({0, *cuts, len(text)})

    def pack(parts: list[bytes]) -> bytes:
        target = io.BytesIO()
        packed = ChunkGzip(target)
        for part in parts:
            packed.write(part)
        packed.close()
        return target.getvalue()

    whole = pack([text])
    assert pack([text[a:b] for a, b in itertools.pairwise(bounds)]) == whole
    assert gzip.decompress(whole) == text
    assert whole[3:8] == bytes(5)  # no name, no time
