"""The quality page: one self-contained HTML file for the laboratory, without scripts and without a network.

It imports jinja2; import it where it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.plan import Plan
from shared.domain.qc import QcMetric
from shared.domain.qc_curves import Curve, ReadCurves
from shared.domain.thresholds import DEFAULT_LIMITS, Limit, faults
from shared.report.chart import Line, line_chart
from shared.report.templates import template

Figures = Mapping[str, QcMetric]

_SHARE = 0.999
"""Share of the counts that a chart of a distribution shows; the long tail is left out."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure as the table shows it; all is text."""

    name: str
    value: str
    unit: str
    limit: str
    holds: bool


def render_qc_page(plan: Plan, figures: Figures, groups: Mapping[str, Figures], curves: ReadCurves) -> str:
    """The page of an analysis; the same figures and curves give the same page.

    Args:
        plan: The analysis; its limits stand beside the figures.
        figures: Of the sample.
        groups: By read group.
        curves: Of all reads.
    """
    limits = {**DEFAULT_LIMITS, **plan.limits}
    columns = sorted({name for some in groups.values() for name in some})
    return template("qc_page.html.j2").render(
        plan=plan,
        faults=faults(figures, plan.limits),
        rows=[_row(name, figure, limits.get(name)) for name, figure in sorted(figures.items())],
        columns=columns,
        groups=[
            (name, [_text(some[column]) if column in some else "" for column in columns])
            for name, some in sorted(groups.items())
        ],
        charts=_charts(curves),
    )


def _row(name: str, figure: QcMetric, limit: Limit | None) -> Row:
    return Row(
        name,
        _text(figure),
        figure.unit.strip("{}") if figure.unit != "1" else "",
        str(limit) if limit else "",
        limit is None or limit.holds(figure.value),
    )


def _text(figure: QcMetric) -> str:
    return f"{figure.value:,.0f}" if float(figure.value).is_integer() else f"{figure.value:,.4g}"


def _charts(curves: ReadCurves) -> list[tuple[str, str]]:
    """Titles and SVGs of what there is to show."""
    (first, second), (gc_first, gc_second) = curves.qualities, curves.gc
    drawn = [
        ("Base quality by cycle", "cycle", [Line("R1", first), Line("R2", second)]),
        ("Reads by GC content", "GC, %", [Line("R1", gc_first), Line("R2", gc_second)]),
        ("Pairs by fragment length", "fragment length, bp", [Line("pairs", _body(curves.insert_sizes))]),
        ("Positions by depth", "depth, reads", [Line("positions", _body(curves.depths))]),
    ]
    charts = ((title, line_chart(title, label, lines)) for title, label, lines in drawn)
    return [(title, chart) for title, chart in charts if chart]


def _body(curve: Curve) -> Curve:
    """A distribution without its long tail."""
    total = sum(y for _, y in curve)
    kept: list[tuple[float, float]] = []
    passed = 0.0
    for x, y in curve:
        kept.append((x, y))
        passed += y
        if passed >= _SHARE * total:
            break
    return tuple(kept)
