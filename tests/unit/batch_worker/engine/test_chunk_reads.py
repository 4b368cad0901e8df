"""Interleaved FASTQ: batches, names, scores, and what is said of bad records."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_worker.engine import chunk_reads
from batch_worker.engine.chunk_reads import Batch, read_batches
from shared.errors import PermanentError


def record(name: str, bases: str, quality: str) -> bytes:
    return f"@{name}\n{bases}\n+\n{quality}\n".encode()


PAIRS = b"".join(
    record(f"r{i} {mate}:N:0:A", "ACGTA"[: 3 + i % 3], "I#/0?"[: 3 + i % 3]) for i in range(7) for mate in "12"
)


def read_all(text: bytes, batch_pairs: int = 3) -> list[Batch]:
    return list(read_batches(io.BytesIO(text), "chunk 0", batch_pairs))


def test_batches_have_the_same_number_of_pairs_but_the_last():
    batches = read_all(PAIRS)
    assert [len(batch.names) for batch in batches] == [3, 3, 1]
    assert [name for batch in batches for name in batch.names] == [f"r{i}".encode() for i in range(7)]


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 5, 7, 10, 20, 1_000])
def test_pieces_of_any_size_give_the_same_batches(monkeypatch, piece_bytes):
    expected = [batch.sequences for batch in read_all(PAIRS)]
    monkeypatch.setattr(chunk_reads, "_PIECE_BYTES", piece_bytes)
    assert [batch.sequences for batch in read_all(PAIRS)] == expected


def test_gzip_carriage_returns_and_a_missing_last_line_end_make_no_difference():
    expected = [(b.names, b.sequences, b.qualities, b.scores.tolist()) for b in read_all(PAIRS)]
    for text in (gzip.compress(PAIRS), PAIRS.replace(b"\n", b"\r\n"), PAIRS.rstrip(b"\n")):
        assert [(b.names, b.sequences, b.qualities, b.scores.tolist()) for b in read_all(text)] == expected


def test_scores_sum_the_qualities_of_15_and_above():
    # '/' is 14, '0' is 15, '?' is 30, 'I' is 40
    (batch,) = read_all(record("a", "ACGT", "/0?I") + record("a", "AC", "//"))
    assert batch.scores.tolist() == [85, 0]
    assert (batch.bases, batch.q30_bases) == (6, 2)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [("a/1", "a/2", b"a"), ("a/1 x", "a/2 x", b"a"), ("a\tx", "a\ty", b"a"), ("a", "a", b"a"), ("/1", "/1", b"/1")],
)
def test_names_are_trimmed_as_bwa_does(first, second, name):
    (batch,) = read_all(record(first, "A", "I") + record(second, "A", "I"))
    assert batch.names == [name]


@given(
    st.lists(st.tuples(st.text("ACGTN", min_size=1, max_size=9), st.text("ACGTN", min_size=1, max_size=9)), max_size=9)
)
def test_what_is_written_is_read(pairs):
    text = b"".join(record(f"p{i}", bases, "F" * len(bases)) for i, pair in enumerate(pairs) for bases in pair)
    got = [bases.decode() for batch in read_all(text, batch_pairs=2) for bases in batch.sequences]
    assert got == [bases for pair in pairs for bases in pair]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (record("a", "A", "I") + b"b\nA\n+\nI\n", r"chunk 0 line 5: .* start with '@'"),
        (record("a", "A", "I") + record("b", "A", "I"), r"line 5: this R2 has another name"),
        (record("a", "AC", "I") + record("a", "A", "I"), r"line 2: 2 bases but 1 qualities"),
        (record("a", "", "") + record("a", "A", "I"), r"line 2: 0 bases but 0 qualities"),
        (b"@a\nA\n-\nI\n" + record("a", "A", "I"), r"line 3: .* start with '\+'"),
        (record("a", "A", "I"), r"line 4: the chunk ends inside a pair \(4 lines after line 0"),
        (PAIRS + b"@r9\nA\n", r"line 58: the chunk ends inside a pair"),
        (record("a" * 255, "A", "I") * 2, r"line 1: a read name has 255 characters"),
        (record(" a", "A", "I") * 2, r"line 1: a read name has 0 characters|another name"),
        (record("a", "A", " ") + record("a", "A", "I"), r"a quality between lines 1 and 8 is outside '!' to '~'"),
    ],
)
def test_bad_records_are_refused_with_their_line(text, message):
    with pytest.raises(PermanentError, match=message):
        read_all(text)
