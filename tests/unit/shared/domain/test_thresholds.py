"""Limits on quality figures."""

import pytest
from pydantic import ValidationError

from shared.domain.qc import QcMetric
from shared.domain.thresholds import DEFAULT_LIMITS, Limit, Missed, faults, in_force, missed_limits
from tests.factories import make_order


def figures(**values: float) -> dict[str, QcMetric]:
    return {name: QcMetric(value) for name, value in values.items()}


def test_a_figure_in_its_range_is_no_fault():
    assert faults(figures(mean_depth=30), {"mean_depth": Limit(min=30)}) == ()


def test_a_figure_out_of_its_range_names_both_numbers():
    assert faults(figures(mean_depth=29.5), {"mean_depth": Limit(min=30)}) == (
        "mean_depth is 29.5; at least 30 is required.",
    )


def test_a_figure_that_is_asked_for_and_missing_is_a_fault():
    assert faults({}, {"mean_depth": Limit(min=30)}) == ("mean_depth could not be measured; at least 30 is required.",)


@pytest.mark.parametrize(
    ("value", "least", "words"),
    [
        (29.999999, 30, "mean_depth is 29.999999; at least 30 is required."),
        (24_999_999, 25e6, "mean_depth is 24,999,999; at least 25,000,000 is required."),
        (0, 0.000001, "mean_depth is 0; at least 0.000001 is required."),
    ],
)
def test_two_numbers_that_differ_are_told_as_different(value: float, least: float, words: str):
    assert faults(figures(mean_depth=value), {"mean_depth": Limit(min=least)}) == (words,)


def test_contamination_holds_a_sample_without_anyone_asking():
    assert faults(figures(contamination=0.06), {}) == ("contamination is 0.06; at most 0.05 is required.",)


def test_what_has_only_a_default_limit_need_not_be_measured():
    assert faults({}, {}) == ()


def test_an_asked_limit_takes_the_place_of_the_default():
    assert faults(figures(contamination=0.06), {"contamination": Limit(max=0.1)}) == ()


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"mean_dept": {"min": 3}}, "there is no quality figure 'mean_dept'"),
        ({"mean_depth": {}}, "give `min`, `max` or both"),
        ({"mean_depth": {"min": 3, "max": 2}}, "`min` 3 is above `max` 2"),
        ({"mean_depth": {"min": float("inf")}}, "finite number"),
    ],
)
def test_a_limit_that_says_nothing_is_refused(limit: dict[str, object], words: str):
    with pytest.raises(ValidationError, match=words):
        make_order(qc=limit)


def test_what_is_missed_keeps_its_numbers_and_is_in_order_of_figure():
    limits = {"read_pairs": Limit(min=10), "mean_depth": Limit(min=30)}
    assert missed_limits(figures(read_pairs=3), limits) == (
        Missed(figure="mean_depth", value=None, limit=Limit(min=30)),
        Missed(figure="read_pairs", value=3, limit=Limit(min=10)),
    )


def test_the_limits_in_force_are_the_default_ones_and_those_asked_for():
    asked = {"mean_depth": Limit(min=30), "contamination": Limit(max=0.1)}
    assert in_force(asked) == {**DEFAULT_LIMITS, **asked}
    assert list(in_force(asked)) == sorted(in_force(asked))
