"""BED files as laboratories send them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.genome import Contig, Interval
from shared.errors import PermanentError
from shared.formats.bed import bed_text, read_bed

CONTIGS = (Contig("chr1", 1_000), Contig("chr2", 500), Contig("chrM", 100))


def read(text: str | bytes) -> tuple[Interval, ...]:
    return read_bed(text.encode() if isinstance(text, str) else text, "panel.bed", CONTIGS)


def test_comments_headers_empty_lines_and_further_columns_are_passed_over():
    text = "browser position chr1\ntrack name=x\n#c\n\nchr2\t5\t9\tGENE\t0\t+\r\nchr1\t0\t1000\r\n  \nchr1 7 8 name\n"
    assert read(text) == (Interval("chr2", 5, 9), Interval("chr1", 0, 1_000), Interval("chr1", 7, 8))
    assert read(b"\xef\xbb\xbfchr1\t1\t2\t\xe9\r") == (Interval("chr1", 1, 2),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\t2\nchr1\t5\n", r"panel\.bed, line 2: 'chr1\t5' is no BED line"),
        ("chr1\tone\t2\n", "line 1: .* is no BED line"),
        ("chr1\t-1\t2\n", "line 1: .* is no BED line"),
        ("chr1\t1e3\t2000\n", "line 1: .* is no BED line"),
        ("\n#\nchr1\t5\t5\n", "line 3: chr1:5-5 .* is empty"),
        ("chr1\t7\t5\n", "line 1: chr1:7-5 .* is backwards"),
        ("chr1\t0\t1001\n", "line 1: .* outside the contig; chr1 has 1,000 bp. Was .* another genome build"),
        ("1\t0\t1\n", "line 1: contig '1' is called 'chr1' in the reference bundle"),
        ("MT\t0\t1\n", "line 1: contig 'MT' is called 'chrM'"),
        ("chr9\t0\t1\n", r"has no contig 'chr9' \(it has chr1, chr2, chrM"),
        ("# nothing\n", "holds no interval"),
        ("", "holds no interval"),
        (b"\x1f\x8b\x08", "is compressed"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_do(text, message):
    with pytest.raises(PermanentError, match=message):
        read(text)


def test_a_bundle_without_chr_is_told_too():
    with pytest.raises(PermanentError, match="contig 'chr1' is called '1'"):
        read_bed(b"chr1\t0\t1\n", "x.bed", (Contig("1", 10),))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        assert read(data)
    except PermanentError as error:
        assert "panel.bed" in str(error)  # noqa: PT017 - either outcome is right


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CONTIGS), st.integers(0, 98), st.integers(1, 2)), min_size=1))
def test_what_is_written_is_read(rows):
    intervals = tuple(Interval(contig.name, start, start + size) for contig, start, size in rows)
    assert read(bed_text(intervals)) == intervals
