"""Reference blocks: read, written, joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import PermanentError
from shared.formats.gvcf import ReferenceBlock, band, bands_line, join, parse_bands, parse_block

BANDS = (0, 1, 5, 10)


def block(start: int, end: int, depth: int, genotype: str = "0/0", contig: str = "1") -> ReferenceBlock:
    return ReferenceBlock(contig, start, end, "A", depth, genotype)


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 99), st.sampled_from("ACGTN"))
def test_a_block_that_is_written_is_read(start, length, depth, ref):
    one = ReferenceBlock("chr1", start, start + length, ref, depth, "0/0")
    assert parse_block(one.line()) == one


def test_a_block_of_one_position_has_no_end():
    assert block(4, 5, 7).line() == "1\t5\t.\tA\t.\t.\t.\tMIN_DP=7\tGT:DP\t0/0:7"
    assert block(4, 6, 7).line() == "1\t5\t.\tA\t.\t.\t.\tEND=6;MIN_DP=7\tGT:DP\t0/0:7"


def test_a_variant_is_no_block():
    assert parse_block("1\t5\t.\tA\tC\t9\t.\tDP=7\tGT:DP\t0/1:7") is None


def test_a_record_without_alt_that_is_no_block_is_refused():
    with pytest.raises(PermanentError, match=r"1:5 has no ALT and is no reference block"):
        parse_block("1\t5\t.\tA\t.\t9\t.\tDP=7\tGT:DP\t0/0:7")


def test_touching_blocks_of_one_band_join_with_the_lower_depth():
    assert join(block(4, 9, 7), block(9, 12, 6), BANDS) == block(4, 12, 6)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (block(10, 12, 7), "a gap"),
        (block(9, 12, 4), "another band"),
        (block(9, 12, 10), "another band"),
        (block(9, 12, 7, "./."), "another genotype"),
        (block(9, 12, 7, contig="2"), "another contig"),
    ],
)
def test_blocks_that_differ_stay_two(second, why):
    assert join(block(4, 9, 7), second, BANDS) is None, why


def test_bands_are_numbered_by_their_lower_ends_and_survive_the_header():
    assert [band(BANDS, depth) for depth in (0, 1, 4, 5, 9, 10, 99)] == [0, 1, 1, 2, 2, 3, 3]
    assert parse_bands(["##x", bands_line(BANDS)]) == BANDS
    with pytest.raises(PermanentError, match="header lacks"):
        parse_bands(["##x"])
