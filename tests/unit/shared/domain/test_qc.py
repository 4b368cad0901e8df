"""Quality figures: counts and ratios with their units."""

import re
from pathlib import Path

import pytest

from shared.domain.qc import FIGURES, LONGEST_INSERT_BP, QcMetric, add_histograms, summarise, summarise_reads

CHUNKS = {
    "bases": 2_000,
    "q30_bases": 1_800,
    "gc_bases": 780,
    "n_bases": 50,
    "primary_mapped": 18,
    "properly_paired": 16,
}
INSERTS = (0, 0, 3, 0, 4, 0, 0, 1)
SHARDS = {
    "duplicates": 9,
    "callable_bp": 100,
    "depth_sum": 2_050,
    "depth_0": 5,
    "depth_5": 15,
    "depth_20": 50,
    "depth_30": 30,
    "transitions": 4,
    "transversions": 3,
    "heterozygous": 6,
    "homozygous": 4,
    "snvs": 7,
    "indels": 3,
    "variants_pass": 9,
}


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("read_pairs", QcMetric(10)),
        ("bases", QcMetric(2_000, "{base}")),
        ("mapped_reads", QcMetric(18)),
        ("callable_bases", QcMetric(100, "{base}")),
        ("variants", QcMetric(10)),
        ("variants_pass", QcMetric(9)),
        ("q30_fraction", QcMetric(0.9)),
        ("gc_fraction", QcMetric(0.4)),  # of the bases that are not N
        ("properly_paired_fraction", QcMetric(0.8)),
        ("insert_size_median", QcMetric(4, "{base}")),
        ("insert_size_mad", QcMetric(1, "{base}")),  # distances 2 2 2 0 0 0 0 3
        ("median_depth", QcMetric(20)),
        ("mapped_fraction", QcMetric(0.9)),  # of both mates
        ("duplicate_fraction", QcMetric(0.5)),  # of the mapped ones
        ("mean_depth", QcMetric(20.5)),
        ("fraction_1x", QcMetric(0.95)),
        ("fraction_10x", QcMetric(0.8)),
        ("fraction_20x", QcMetric(0.8)),
        ("fraction_30x", QcMetric(0.3)),
        ("transition_transversion_ratio", QcMetric(1.333333)),
        ("het_hom_ratio", QcMetric(1.5)),
    ],
)
def test_a_figure_is_what_its_counts_say(name: str, figure: QcMetric) -> None:
    assert summarise(10, CHUNKS, SHARDS, 10, INSERTS)[name] == figure


def test_a_figure_that_would_divide_by_nothing_is_left_out() -> None:
    figures = summarise(0, {}, {}, 0)
    assert set(figures) == {
        "read_pairs",
        "bases",
        "mapped_reads",
        "duplicate_reads",
        "callable_bases",
        "variants",
        "variants_pass",
        "snvs",
        "indels",
    }


def test_figures_are_in_order_of_name_so_that_their_file_has_one_spelling() -> None:
    assert list(summarise(10, CHUNKS, SHARDS, 10)) == sorted(summarise(10, CHUNKS, SHARDS, 10))


def test_other_counts_that_end_in_digits_are_not_taken_for_depths() -> None:
    assert summarise(10, CHUNKS, {**SHARDS, "length150": 7}, 10) == summarise(10, CHUNKS, SHARDS, 10)


def test_the_page_defines_every_figure_and_no_other() -> None:
    page = (Path(__file__).parents[4] / "docs" / "qc.md").read_text(encoding="utf-8")
    first_cells = re.findall(r"^\| ([^|]+) \|", page, flags=re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`([a-z0-9_]+)`", cell)} == set(FIGURES)


def test_every_figure_of_a_sample_is_one_that_limits_may_name() -> None:
    assert set(summarise(10, CHUNKS, SHARDS, 10, INSERTS)) <= set(FIGURES)


def test_a_read_group_has_the_figures_of_reads_only() -> None:
    figures = summarise_reads(10, CHUNKS, 9, INSERTS)
    sample = summarise(10, CHUNKS, SHARDS, 10, INSERTS)
    assert figures.items() <= sample.items()
    assert "mean_depth" not in figures


def test_an_even_number_of_pairs_has_the_mean_of_the_middle_two_as_its_median() -> None:
    assert summarise_reads(2, {}, 0, (0,) * 300 + (1, 1))["insert_size_median"].value == 300.5


def test_a_median_in_the_open_last_bin_is_not_told() -> None:
    long = (0,) * LONGEST_INSERT_BP + (5,)
    assert not {"insert_size_median", "insert_size_mad"} & set(summarise_reads(5, {}, 0, long))
    deep = {**SHARDS, "depth_500": 1_000}
    assert "median_depth" not in summarise(10, CHUNKS, deep, 10)


def test_histograms_add_up_bin_by_bin_whatever_their_length() -> None:
    assert add_histograms([(1, 2), (), (0, 1, 5)]) == (1, 3, 5)
    assert add_histograms([]) == ()


def test_single_end_reads_are_counted_beside_pairs() -> None:
    mixed = summarise_reads(6, CHUNKS, 9, INSERTS, single_reads=8)
    assert (mixed["read_pairs"], mixed["single_reads"]) == (QcMetric(6), QcMetric(8))
    assert mixed["mapped_fraction"] == QcMetric(0.9)  # 18 of 6 x 2 + 8
    single = summarise_reads(0, {**CHUNKS, "properly_paired": 0}, 9, (), single_reads=20)
    assert (single["read_pairs"], single["single_reads"], single["mapped_fraction"]) == (
        QcMetric(0),
        QcMetric(20),
        QcMetric(0.9),
    )
    assert not {"properly_paired_fraction", "insert_size_median"} & set(single)
    assert "single_reads" not in summarise_reads(10, CHUNKS, 9, INSERTS)
    whole = summarise(6, CHUNKS, SHARDS, variants=10, insert_sizes=INSERTS, single_reads=8)
    assert whole["single_reads"] == QcMetric(8)
