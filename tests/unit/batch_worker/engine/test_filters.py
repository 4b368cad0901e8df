"""Filters by strand and allele balance, against scipy's and GATK's published values."""

from math import log

import pytest

from batch_worker.engine.filters import FilterLimits, Support, fisher_phred, strand_odds
from batch_worker.engine.vcf_text import support_of

LIMITS = FilterLimits()


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ((8, 2, 1, 5), 0.03496503496503495),  # the worked example of Fisher's test in scipy's documentation
        ((3, 1, 1, 3), 0.4857142857142857),  # Fisher's tea
        ((0, 0, 5, 5), 1.0),
        ((0, 0, 0, 0), 1.0),
        ((10, 0, 0, 10), 1.082508822446903e-05),
    ],
)
def test_fishers_test_is_two_sided(table, p):
    assert 10 ** (-fisher_phred(*table) / 10) == pytest.approx(p, rel=1e-6)


def test_strand_odds_are_symmetric_and_lower_where_ref_itself_is_one_sided():
    assert strand_odds(0, 0, 0, 0) == pytest.approx(log(2))
    # One read is added to each count: ratio 2 * 2 / (11 * 101), shares 2 / 11 of REF and 2 / 101 of ALT.
    ratio = 4 / 1_111
    assert strand_odds(1, 10, 100, 1) == pytest.approx(log(ratio + 1 / ratio) + log(2 / 11) - log(2 / 101))
    assert strand_odds(1, 10, 100, 1) == pytest.approx(strand_odds(10, 1, 1, 100))
    assert strand_odds(100, 1, 100, 1) < strand_odds(50, 50, 100, 1)


def verdict(**fields) -> str:
    return LIMITS.verdict("50", "30", "60", Support(**fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"strands": (30, 30, 25, 25)}, "PASS"),
        ({"strands": (50, 50, 40, 0)}, "StrandBias"),
        ({"strands": (50, 50, 40, 0), "is_indel": True}, "PASS"),
        ({"strands": (6, 6, 8, 0)}, "PASS"),  # too few reads to tell
        ({"strands": (2_000, 2_000, 2_300, 1_700)}, "PASS"),  # certain, but small
        ({"strands": (0, 0, 40, 0)}, "PASS"),  # an amplicon read from one side: REF says nothing
        ({"depths": (86, 14)}, "AlleleBalance"),
        ({"depths": (85, 15)}, "PASS"),
        ({"depths": (85, 15), "genotype": "1/1"}, "AlleleBalance"),
        ({"depths": (13, 10), "genotype": "1/1", "is_indel": True}, "PASS"),
        ({"depths": (40, 10), "genotype": "1", "is_indel": True}, "AlleleBalance"),
        ({"depths": (51, 49), "genotype": "1"}, "AlleleBalance"),
        ({"depths": (0, 0)}, "PASS"),
        ({"strands": (50, 50, 40, 0), "depths": (90, 10)}, "StrandBias;AlleleBalance"),
        ({}, "PASS"),
    ],
)
def test_reads_that_speak_against_the_call_are_named(fields, expected):
    assert verdict(**fields) == expected


def test_every_filter_has_a_header_line_with_its_rule():
    lines = LIMITS.header_lines()
    assert [line.partition("ID=")[2].partition(",")[0] for line in lines] == [
        "LowQual", "LowDepth", "LowMapQ", "StrandBias", "AlleleBalance",
    ]  # fmt: skip
    assert all('Description="' in line and line.endswith('">') for line in lines)


def test_support_is_read_from_a_record():
    line = "1\t5\t.\tA\tAG\t50\t.\tDP=9;DP4=1,2,3,4;MQ=60\tGT:PL:DP:AD\t0/1:9,0,9:9:3,7"
    assert support_of(line.split("\t")) == Support(True, "0/1", (3, 7), (1, 2, 3, 4))
    bare = "1\t5\t.\tA\tG\t50\t.\tDP=9\tGT\t1"
    assert support_of(bare.split("\t")) == Support(False, "1")
