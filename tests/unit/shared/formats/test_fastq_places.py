"""Reading goes on from any place as if it had never stopped: same pairs, same words, for every packing."""

import functools
import gzip
import io
import random
import re
import zlib
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from isal import igzip

from shared.errors import PermanentError
from shared.formats import gzip_text
from shared.formats.fastq import FastqPairs, FastqSource, PairsPlace
from tests.fastq_text import bgzf

READS = 3_000  # 0.6 MB of text of each mate, some 200 kB packed


@functools.cache
def text(mate: int, title: str = "A1:7:{n} {m}:N:0:ACGT", reads: int = READS) -> bytes:
    """Reads that pack like a sequencer's."""
    draw = random.Random(mate)
    records = []
    for number in range(reads):
        size = draw.choice([75, 75, 75, 40, 74])
        name = title.format(n=number, m=mate)
        bases = "".join(draw.choices("ACGT", k=size))
        qualities = "".join(draw.choices("FGHIJ:,#", k=size))
        records.append(f"@{name}\n{bases}\n+\n{qualities}\n")
    return "".join(records).encode()


def members(data: bytes, size: int = 70_000) -> bytes:
    return b"".join(gzip.compress(data[at : at + size], mtime=0) for at in range(0, len(data), size))


def frames(data: bytes, size: int = 70_000) -> bytes:
    return b"".join(zstd.compress(data[at : at + size]) for at in range(0, len(data), size))


def flushed(data: bytes) -> bytes:
    """Blocks of every kind: dynamic, fixed, stored, and empty ones between them."""
    packer = zlib.compressobj(1, wbits=31)
    parts = []
    for at in range(0, len(data), 20_000):
        parts += [packer.compress(data[at : at + 20_000]), packer.flush(zlib.Z_SYNC_FLUSH)]
    return b"".join([*parts, packer.flush()])


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "windows": lambda data: data.replace(b"\n", b"\r\n"),
    "windows gzip": lambda data: gzip.compress(data.replace(b"\n", b"\r\n"), mtime=0),
    "no last line end": lambda data: gzip.compress(data[:-1], mtime=0),
    "gzip -1": functools.partial(gzip.compress, compresslevel=1, mtime=0),
    "gzip -6": functools.partial(gzip.compress, compresslevel=6, mtime=0),
    "gzip -9": functools.partial(gzip.compress, compresslevel=9, mtime=0),
    "stored": functools.partial(gzip.compress, compresslevel=0, mtime=0),
    "igzip -0": functools.partial(igzip.compress, compresslevel=0),
    "igzip -1": functools.partial(igzip.compress, compresslevel=1),
    "igzip -3": functools.partial(igzip.compress, compresslevel=3),
    "flushed": flushed,
    "members": members,
    "bgzf": functools.partial(bgzf, block=60_000),
    "zstd": zstd.compress,
    "frames": frames,
}
ONE_PIECE = {"stored", "igzip -0", "igzip -1", "igzip -3", "zstd"}
"""No dynamic block begins within these short files."""


@functools.cache
def packed(packing: str, mate: int) -> bytes:
    return PACKINGS[packing](text(mate))


def pairs_from(r1: bytes, r2: bytes, place: PairsPlace | None) -> FastqPairs:
    begins = (place.r1.place.point.offset, place.r2.place.point.offset) if place else (0, 0)
    sources = (
        FastqSource(io.BytesIO(data[begin:]), f"R{mate}")
        for mate, (data, begin) in enumerate(zip((r1, r2), begins, strict=True), 1)
    )
    return FastqPairs(*sources, begin=place)


def take(pairs: FastqPairs, count: int) -> bytes:
    parts = []
    while count and (block := pairs.take(count)):
        parts.append(block.text())
        count -= block.count
    return b"".join(parts)


def stored(place: PairsPlace) -> PairsPlace:
    """The place as it is read again."""
    return PairsPlace.model_validate_json(place.to_json())


def outcome(pairs: FastqPairs, count: int = READS) -> tuple[bytes, str]:
    """The pairs that are left, and the words of the fault."""
    parts = []
    try:
        while block := pairs.take(count):
            parts.append(block.text())
    except PermanentError as error:
        return b"".join(parts), str(error)
    return b"".join(parts), ""


@pytest.fixture
def small_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed data come in small pieces, so that a short file has many places."""
    monkeypatch.setattr(gzip_text, "FEED_BYTES", 4_096)


@pytest.mark.thorough
@pytest.mark.parametrize("packing", PACKINGS)
def test_reading_goes_on_from_every_place_as_if_it_had_not_stopped(packing: str, small_feeds: None) -> None:
    r1, r2 = packed(packing, 1), packed(packing, 2)
    whole, _ = outcome(pairs_from(r1, r2, None))
    pairs = pairs_from(r1, r2, None)
    passed = 0
    for count in (1, 700, 1, 998, 1_000, 299, 1):
        passed += len(take(pairs, count))
        place = stored(pairs.place())
        again = pairs_from(r1, r2, place)
        assert again.count == place.pairs == pairs.count
        assert outcome(again) == (whole[passed:], ""), (count, place.pairs)
    assert passed == len(whole)


@pytest.mark.parametrize("packing", sorted(set(PACKINGS) - ONE_PIECE))
def test_a_place_is_near(packing: str, small_feeds: None) -> None:
    pairs = pairs_from(packed(packing, 1), packed(packing, 2), None)
    take(pairs, READS - 100)
    for lane in (pairs.place().r1, pairs.place().r2):
        assert lane.place.point.offset > 0
        assert lane.place.skip < 400_000
        assert len(lane.place.to_json()) < 60_000


def test_places_follow_each_other_over_many_stops(small_feeds: None) -> None:
    """Each reader goes on from the place that the one before it left."""
    r1, r2 = packed("gzip -6", 1), packed("igzip -1", 2)
    place, parts = None, []
    for _ in range(0, READS, 250):
        pairs = pairs_from(r1, r2, place)
        parts.append(take(pairs, 250))
        place = stored(pairs.place())
    assert b"".join(parts) == outcome(pairs_from(r1, r2, None))[0]
    assert place is not None
    assert outcome(pairs_from(r1, r2, place)) == (b"", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(data=st.data())
def test_random_stops_change_nothing(small_feeds: None, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(PACKINGS))
    r1, r2 = packed(data.draw(names), 1), packed(data.draw(names), 2)
    whole, _ = outcome(pairs_from(r1, r2, None))
    place, text_out = None, b""
    for count in data.draw(st.lists(st.integers(1, READS // 2), min_size=1, max_size=4)):
        pairs = pairs_from(r1, r2, place)
        text_out += take(pairs, count)
        place = stored(pairs.place())
    assert text_out + outcome(pairs_from(r1, r2, place))[0] == whole


def test_repeated_titles_are_passed_over_rightly(small_feeds: None) -> None:
    """Text that is made shorter is not mistaken for the file's."""
    r1, r2 = (re.sub(rb"@(.*)\n(.*)\n\+\n", rb"@\1\n\2\n+\1\n", text(mate)) for mate in (1, 2))
    whole, _ = outcome(pairs_from(r1, r2, None))
    assert whole == outcome(pairs_from(text(1), text(2), None))[0]
    pairs = pairs_from(gzip.compress(r1), r2, None)
    for count in (3, 500, 1_001):
        passed = take(pairs, count)
        whole = whole[len(passed) :]
        assert outcome(pairs_from(gzip.compress(r1), r2, stored(pairs.place())))[0] == whole


# --- what is known of the pairs before a place -------------------------------------------------------------


def corrupt_end(data: bytes) -> bytes:
    broken = bytearray(data)
    broken[-6] ^= 1  # in the checksum
    return bytes(broken)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (corrupt_end, "CRC check failed"),
        (lambda data: data[:-1], "is truncated"),
        (lambda data: data[: len(data) * 3 // 4], "is truncated"),
        (lambda data: data + b"rubbish", "Not a gzipped file"),
    ],
    ids=["checksum", "no last byte", "cut", "rubbish"],
)
def test_damage_behind_a_place_gets_the_same_words(
    spoil: Callable[[bytes], bytes], words: str, small_feeds: None
) -> None:
    r1, r2 = spoil(packed("gzip -6", 1)), packed("gzip -6", 2)
    pairs = pairs_from(r1, r2, None)
    passed = take(pairs, 900)
    place = stored(pairs.place())
    assert place.r1.place.point.is_inside
    text_out, message = outcome(pairs_from(r1, r2, None))
    assert words in message
    assert outcome(pairs_from(r1, r2, place)) == (text_out[len(passed) :], message)


def test_the_running_checksum_covers_what_was_read_before_the_place(small_feeds: None) -> None:
    """A place of other text with the same end is found out by the member's checksum."""
    r1, r2 = packed("gzip -6", 1), packed("gzip -6", 2)
    pairs = pairs_from(r1, r2, None)
    take(pairs, 1_500)
    place = pairs.place()
    point = place.r1.place.point
    assert point.is_inside
    wrong = point.model_copy(update={"crc": point.crc ^ 1})
    lane = place.r1.model_copy(update={"place": place.r1.place.model_copy(update={"point": wrong})})
    message = outcome(pairs_from(r1, r2, place.model_copy(update={"r1": lane})))[1]
    assert message.startswith("R1 is damaged: its gzip data cannot be read after at least ")
    assert "CRC check failed" in message


def test_a_faulty_read_behind_a_place_has_its_number_in_the_file(small_feeds: None) -> None:
    spoiled = bytearray(text(1))
    at = spoiled.index(b"@A1:7:2000 ")
    spoiled[at : at + 1] = b"#"
    r1, r2 = gzip.compress(bytes(spoiled)), packed("gzip -6", 2)
    pairs = pairs_from(r1, r2, None)
    take(pairs, 1_234)
    message = outcome(pairs_from(r1, r2, stored(pairs.place())))[1]
    assert message == outcome(pairs_from(r1, r2, None))[1]
    assert "at line 8,001, read 2,001" in message


@pytest.mark.parametrize("first", [1, 400, 999, 1_000])
def test_one_file_given_twice_is_found_over_a_stop(first: int) -> None:
    same = text(1, "SRR1.{n}")
    pairs = pairs_from(same, same, None)
    if first < 1_000:
        take(pairs, first)
        pairs = pairs_from(same, same, stored(pairs.place()))
    assert "one file was uploaded twice" in outcome(pairs)[1]


def test_qualities_of_the_whole_file_decide_over_a_stop() -> None:
    old = [text(mate, reads=400).replace(b"F", b"h").replace(b":,", b"gg") for mate in (1, 2)]
    old = [re.sub(rb"(?m)^([A-Zh:,#g]+)$(?!\n\+)", lambda found: b"h" * len(found[0]), data) for data in old]
    old = [data.replace(b"hhhhh\n", b"hBghC\n") for data in old]
    message = outcome(pairs_from(old[0], old[1], None))[1]
    assert "looks like Phred+64" in message
    pairs = pairs_from(old[0], old[1], None)
    take(pairs, 399)
    assert outcome(pairs_from(old[0], old[1], stored(pairs.place())))[1] == message


def test_a_real_feed_gives_a_place_inside_a_long_member() -> None:
    """With the sizes of the product: a place every 64 KiB of packed data."""
    long = [gzip.compress(text(1) * 5, mtime=0), igzip.compress(text(2) * 5, 1)]
    pairs = pairs_from(long[0], long[1], None)
    take(pairs, 12_000)
    place = stored(pairs.place())
    for lane in (place.r1, place.r2):
        assert lane.place.point.is_inside
        assert lane.place.skip < 1_000_000
    assert outcome(pairs_from(long[0], long[1], place)) == outcome(pairs)
