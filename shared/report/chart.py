"""Small line charts as SVG text: for a page that holds all it shows. The same points give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 34
_TICKS = 4
_COLOURS = ("#1f4e79", "#b5541c")


@dataclass(frozen=True, slots=True)
class Line:
    """Named points by rising x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(title: str, x_label: str, lines: Sequence[Line], *, zero: bool = True) -> str:
    """An SVG of lines over common axes; an empty string when there is nothing to show.

    Args:
        title: What the chart shows, for readers who do not see it.
        x_label: Below the axis, with the unit.
        lines: At most two.
        zero: Whether the y axis begins at 0.
    """
    shown = [line for line in lines if line.points]
    if not shown:
        return ""
    xs = [x for line in shown for x, _ in line.points]
    ys = [y for line in shown for _, y in line.points]
    low_x, high_x = min(xs), max(*xs, min(xs) + 1)
    low_y = 0.0 if zero else min(ys)
    high_y = max(ys) if max(ys) > low_y else low_y + 1

    def place(x: float, y: float) -> str:
        across = _LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - _LEFT - _RIGHT)
        down = HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"

    head = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-size="10">'
    )
    parts = [head]
    for step in range(_TICKS + 1):
        x, y = low_x + step * (high_x - low_x) / _TICKS, low_y + step * (high_y - low_y) / _TICKS
        left, down = place(low_x, y).split(",")
        across, floor = place(x, low_y).split(",")
        parts.append(
            f'<path d="M{left} {down}H{WIDTH - _RIGHT}" stroke="#e3e7ec"/>'
            f'<text x="{_LEFT - 4}" y="{down}" text-anchor="end" dominant-baseline="middle">{_number(y)}</text>'
            f'<text x="{across}" y="{float(floor) + 12:.1f}" text-anchor="middle">{_number(x)}</text>'
        )
    parts.append(
        f'<text x="{(WIDTH + _LEFT) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle" fill="#55606e">'
        f"{escape(x_label)}</text>"
    )
    for number, line in enumerate(shown):
        points = " ".join(place(x, y) for x, y in line.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[number]}" stroke-width="1.5"/>')
        if len(shown) > 1:
            parts.append(
                f'<text x="{WIDTH - _RIGHT}" y="{_TOP + 10 + 12 * number}" text-anchor="end" '
                f'fill="{_COLOURS[number]}">{escape(line.name)}</text>'
            )
    return "".join([*parts, "</svg>"])


def _number(value: float) -> str:
    """Short enough for an axis."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"
