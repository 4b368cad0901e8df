"""Charts: well-formed, inside their frame, safe with any name."""

import re
from xml.etree import ElementTree as ET

import pytest

from shared.report.chart import HEIGHT, WIDTH, Line, line_chart


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0),),
        ((1, 5), (2, 5)),
        ((3, 0), (4, 0)),
        ((-1e-9, 1e12), (1e6, 3.3)),
        tuple((float(x), float(x * x)) for x in range(50)),
    ],
)
def test_every_point_lies_inside_the_frame(points: tuple[tuple[float, float], ...]) -> None:
    root = ET.fromstring(line_chart("t", "x", [Line("a", points)]))  # noqa: S314 - our own text
    (polyline,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    places = [tuple(map(float, place.split(","))) for place in polyline.attrib["points"].split()]
    assert len(places) == len(points)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


@pytest.mark.parametrize(
    ("high", "labels"),
    [
        (37.0, ["0", "10", "20", "30", "40"]),
        (0.05, ["0", "0.02", "0.04", "0.06"]),
        (4.0, ["0", "1", "2", "3", "4"]),
        (17_300.0, ["0", "5k", "10k", "15k", "20k"]),
        (0.0, ["0", "0.5"]),
    ],
)
def test_axes_have_round_labels(high: float, labels: list[str]) -> None:
    root = ET.fromstring(line_chart("t", "x", [Line("a", ((0, 0), (1, high)))]))  # noqa: S314 - our own text
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text") if one.get("dominant-baseline")]
    assert texts == labels


def test_a_larger_value_stands_higher_and_further_right() -> None:
    chart = line_chart("t", "x", [Line("a", ((0, 1), (1, 2)))])
    match = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', chart)
    assert match
    x1, y1, x2, y2 = map(float, match.groups())
    assert x2 > x1
    assert y2 < y1


def test_lines_without_points_are_left_out_and_names_are_only_text() -> None:
    assert line_chart("t", "x", [Line("a", ()), Line("b", ())]) == ""
    chart = line_chart("<t>", "a & b", [Line("<1>", ((0, 1),)), Line("2", ((0, 2),)), Line("3", ())])
    assert "<t>" not in chart
    assert "&lt;1&gt;" in chart
    assert "a &amp; b" in chart
    assert chart.count("<polyline") == 2
    assert "&lt;1" not in line_chart("t", "x", [Line("<1>", ((0, 1),))])  # a line alone needs no name
