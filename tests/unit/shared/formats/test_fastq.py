"""FASTQ pairs: what is read, and the exact words a lab technician gets for every fault."""

import gzip
import io
import re
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.formats.fastq import FastqPairs, FastqSource
from tests.fastq_text import bgzf, fastq

READS = 50


def read(r1: bytes, r2: bytes) -> list[tuple[str, str, str]]:
    """Title, R1's and R2's sequence of every pair."""
    pairs = FastqPairs(FastqSource(io.BytesIO(r1), "landing/NA1/R1"), FastqSource(io.BytesIO(r2), "landing/NA1/R2"))
    text = b""
    while block := pairs.take(1_000_000):
        text += block.text()
    lines = text.decode().splitlines()
    return [(one[1:], r1, r2) for one, r1, r2 in zip(lines[0::8], lines[1::8], lines[5::8], strict=True)]


def _unpacks_to(packed: bytes, text: bytes) -> bool:
    """Whether the standard library reads a gzip as this text, trailer checked."""
    try:
        return gzip.decompress(packed) == text
    except (OSError, EOFError, zlib.error):
        return False


def fault(r1: bytes, r2: bytes) -> str:
    with pytest.raises(PermanentError) as caught:
        read(r1, r2)
    return str(caught.value)


def members(data: bytes) -> bytes:
    """The same text as gzip of several members, as `cat a.gz b.gz` makes it; cut inside a record."""
    return b"".join(gzip.compress(data[at : at + 777], mtime=0) for at in range(0, len(data), 777))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, members, bgzf], ids=["plain", "gzip", "members", "bgzf"])
def test_every_packing_gives_the_same_pairs(pack: Callable[[bytes], bytes]) -> None:
    pairs = read(pack(fastq(READS, 1)), pack(fastq(READS, 2)))
    assert len(pairs) == READS
    assert pairs == read(fastq(READS, 1), fastq(READS, 2))
    assert pairs[0][0] == "M1:7:0 1:N:0:ACGT"


def test_the_two_files_may_be_packed_differently() -> None:
    assert len(read(gzip.compress(fastq(3, 1)), fastq(3, 2))) == 3


def test_line_ends_of_windows_are_read_as_any_other() -> None:
    windows = [fastq(3, mate).replace(b"\n", b"\r\n") for mate in (1, 2)]
    assert read(windows[0], windows[1]) == read(fastq(3, 1), fastq(3, 2))


def test_a_last_line_without_its_end_is_read() -> None:
    assert len(read(fastq(3, 1)[:-1], fastq(3, 2)[:-1])) == 3


@pytest.mark.parametrize(
    "letters",
    [
        "ACGTN",
        "acgtn",  # soft-masked
        "ACGTRYSWKM",  # IUPAC codes of ambiguous bases
        "AC.GT",  # an uncalled base of old instruments
    ],
)
def test_letters_of_bases_are_taken(letters: str) -> None:
    assert read(fastq(1, 1, letters=letters), fastq(1, 2)) != []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("a:1 1:N:0:AC", "a:1 2:N:0:AC"),  # Illumina since 1.8
        ("a:1/1", "a:1/2"),  # before
        ("a:1", "a:1"),  # the archives'
    ],
)
def test_mates_are_known_by_every_naming(one: str, two: str) -> None:
    assert len(read(f"@{one}\nAC\n+\nII\n".encode(), f"@{two}\nGT\n+\nII\n".encode())) == 1


def test_two_empty_files_are_no_pairs() -> None:
    assert read(b"", b"") == []
    assert read(gzip.compress(b""), gzip.compress(b"")) == []


# --- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, members], ids=["gzip", "members"])
def test_a_truncated_gzip_says_so_with_the_reads_that_are_whole(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(fastq(5_000, 1))
    text = fault(packed[: len(packed) // 2], pack(fastq(5_000, 2)))
    assert text.startswith("landing/NA1/R1 is truncated: its gzip data ends early after at least ")
    assert "cut off. Upload the file again from the sequencer's output, then upload the order again." in text


@pytest.mark.parametrize("cut", [1, 4, 8, 12])
def test_a_gzip_without_its_very_end_is_truncated_too(cut: int) -> None:
    packed = gzip.compress(fastq(READS, 2))
    assert "landing/NA1/R2 is truncated" in fault(gzip.compress(fastq(READS, 1)), packed[:-cut])


def test_a_gzip_with_a_flipped_bit_is_damaged() -> None:
    packed = bytearray(gzip.compress(fastq(READS, 1)))
    packed[-6] ^= 1  # in the checksum
    text = fault(bytes(packed), gzip.compress(fastq(READS, 2)))
    assert text.startswith("landing/NA1/R1 is damaged: its gzip data cannot be read (")


def test_a_gzip_with_rubbish_inside_is_damaged() -> None:
    packed = bytearray(gzip.compress(fastq(2_000, 1), mtime=0))
    packed[200:260] = b"\xff" * 60
    assert "landing/NA1/R1 is " in fault(bytes(packed), gzip.compress(fastq(2_000, 2)))


def test_what_follows_a_gzip_and_is_none_is_damage_or_padding() -> None:
    packed = gzip.compress(fastq(READS, 1))
    assert "landing/NA1/R1 is damaged" in fault(packed + b"rubbish of an upload", gzip.compress(fastq(READS, 2)))
    assert len(read(packed + b"\0" * 512, gzip.compress(fastq(READS, 2)))) == READS  # tapes and some uploaders pad


@pytest.mark.parametrize(("r1_reads", "r2_reads", "short", "long"), [(50, 40, "R2", "R1"), (40, 50, "R1", "R2")])
def test_a_mate_that_ends_early_is_named_with_both_counts(r1_reads: int, r2_reads: int, short: str, long: str) -> None:
    text = fault(fastq(r1_reads, 1), fastq(r2_reads, 2))
    assert text == (
        f"{short} ends early: landing/NA1/{short} has 40 reads, landing/NA1/{long} has 50. The upload looks truncated "
        "or the files are not a pair. Upload both files again, then the order again."
    )


def test_an_empty_mate_ends_early() -> None:
    assert fault(fastq(1, 1), b"").startswith("R2 ends early: landing/NA1/R2 has 0 reads, landing/NA1/R1 has 1.")


@pytest.mark.parametrize(
    ("record", "place", "why"),
    [
        (b"@x\nACGT\n+\nIII\n", "read 51", "lengths of sequence and qualities differ: 4 bases, 3 qualities"),
        (b"@x\nACGT\n-\nIIII\n", "line 203, read 51", "expected to start with '+', but starts with '-'"),
        (b"x\nACGT\n+\nIIII\n", "line 201, read 51", "expected to start with '@'"),
        (b"@x\nACGT\n+\n", "read 51", "premature end of file"),
        (b"@x\nACGT\n", "read 51", "premature end of file"),
        (
            b"@x\nACGT\n+other\nIIII\n",
            "line 203, read 51",
            "the '+' line repeats another name: 'other'. Upload",
        ),
    ],
)
def test_a_bad_record_is_named_by_line_and_read(record: bytes, place: str, why: str) -> None:
    text = fault(fastq(READS, 1) + record, fastq(READS + 1, 2))
    assert text.startswith("landing/NA1/R1 is not valid FASTQ at ")
    assert place in text
    assert why in text
    assert text.endswith("Upload the file again from the sequencer's output, then upload the order again.")


@pytest.mark.parametrize("letters", ["ACG!T", "ACGT1", "AC GT", "EFIL"])
def test_letters_that_are_no_bases_are_refused(letters: str) -> None:
    text = fault(fastq(2, 1) + fastq(1, 1, letters=letters, begin=2), fastq(3, 2))
    assert text.startswith(
        "landing/NA1/R1 is not valid FASTQ at line 10, read 3 ('M1:7:2'): letters that are no bases, "
    )


def test_mates_that_differ_are_named() -> None:
    text = fault(fastq(10, 1) + fastq(1, 1, begin=10), fastq(10, 2) + fastq(1, 2, begin=25))
    assert text == (
        "Mates differ at read 11: landing/NA1/R1 has 'M1:7:10', landing/NA1/R2 has 'M1:7:25'. The files are not a "
        "pair, or one of them was sorted or filtered alone. Upload the matching R1 and R2, then the order again."
    )


@pytest.mark.parametrize(
    "data",
    [
        b">chr1\nACGT\n>chr2\nACGT\n",
        b"PK\x03\x04 a zip file",
        b"<html>Not found</html>",
        b"\x00\x01\x02\x03" * 100,
        b"BZh91AY&SY",
        "@Größe\nACGT\n+\nIIII\n".encode("latin-1"),
    ],
    ids=["fasta", "zip", "html", "binary", "bzip2", "latin-1"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_no_fastq_is_refused_by_name(data: bytes, pack: Callable[[bytes], bytes]) -> None:
    text = fault(pack(data), fastq(READS, 2))
    assert re.match(r"landing/NA1/R1 is (not valid FASTQ at line 1, read 1( \('Gr\?\?e'\))?|no FASTQ): ", text)
    assert text.endswith("then upload the order again.")


def test_no_message_is_longer_than_a_person_reads() -> None:
    assert len(fault(b"@" + b"x" * 100_000 + b"\n", fastq(1, 2))) < 1_000
    assert len(fault(fastq(1, 1, letters="!" * 100_000), fastq(1, 2))) < 1_000
    assert len(fault(b"@" + b"x" * 100_000 + b"\nAC\n+" + b"y" * 100_000 + b"\nII\n", fastq(1, 2))) < 1_000
    assert len(fault(b"x" * 100_000, fastq(1, 2))) < 1_000


@given(data=st.binary(max_size=300), is_packed=st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, is_packed: bool) -> None:
    r1 = gzip.compress(data) if is_packed else data
    try:
        read(r1, fastq(1, 2))
    except PermanentError as error:
        assert "landing/NA1/R" in str(error)  # noqa: PT017 - either outcome is right


@given(data=st.data())
def test_any_cut_and_any_flipped_bit_of_a_gzip_is_found(data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(fastq(20, 1), mtime=0))
    at = data.draw(st.integers(10, len(packed) - 1))  # after the header, which holds time and system
    if data.draw(st.booleans()):
        del packed[at:]
    else:
        packed[at] ^= 1 << data.draw(st.integers(0, 7))
        # Some bits say nothing: those that fill up the last byte of the compressed data.
        assume(not _unpacks_to(bytes(packed), fastq(20, 1)))
    assert "landing/NA1/R" in fault(bytes(packed), fastq(20, 2))


@given(
    sequences=st.lists(st.text(alphabet="ACGTN", min_size=1, max_size=40), max_size=20),
    level=st.integers(0, 9),
)
def test_what_was_written_is_read_back(sequences: list[str], level: int) -> None:
    texts = [
        "".join(f"@r:{n}:x {mate}\n{seq}\n+\n{'I' * len(seq)}\n" for n, seq in enumerate(sequences)).encode()
        for mate in (1, 2)
    ]
    packed = gzip.compress(texts[0], compresslevel=level)
    assert [(one, two) for _, one, two in read(packed, texts[1])] == [(seq, seq) for seq in sequences]


def test_a_gzip_of_more_than_its_header_says_is_no_trap() -> None:
    """A header with name, comment and extra fields is passed over."""
    text = fastq(3, 1)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    header = b"\x1f\x8b\x08\x1c\0\0\0\0\0\xff" + struct.pack("<H", 6) + b"AB\x02\0xy" + b"name\0" + b"comment\0"
    packed = header + body + struct.pack("<II", zlib.crc32(text), len(text))
    assert len(read(packed, fastq(3, 2))) == 3
