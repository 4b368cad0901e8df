"""Small line charts as SVG text: for a page that holds all it shows. The same points give the same bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 8, 34
_STEPS = 4  # about so many along an axis
_COLOURS = ("#1f4e79", "#b5541c")


@dataclass(frozen=True, slots=True)
class Line:
    """Named points by rising x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Axis:
    """A range with round ends, and where its labels are: `low + k * step`."""

    low: float
    step: float
    steps: int

    @classmethod
    def over(cls, low: float, high: float) -> "_Axis":
        """An axis that holds both values; its step is 1, 2 or 5 times a power of ten."""
        rough = (high - low or abs(high) or 1.0) / _STEPS
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
        first = math.floor(low / step)
        return cls(first * step, step, max(1, math.ceil(round(high / step - first, 6))))

    @property
    def labels(self) -> list[float]:
        """The values that are written."""
        return [self.low + number * self.step for number in range(self.steps + 1)]

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        return (value - self.low) / (self.step * self.steps)


def line_chart(title: str, x_label: str, lines: Sequence[Line]) -> str:
    """An SVG of lines over common axes; an empty string when there is nothing to show.

    Args:
        title: What the chart shows, for readers who do not see it.
        x_label: Below the axis, with the unit.
        lines: At most two; the y axis begins at 0.
    """
    shown = [line for line in lines if line.points]
    if not shown:
        return ""
    xs = [x for line in shown for x, _ in line.points]
    across = _Axis.over(min(xs), max(xs))
    up = _Axis.over(0.0, max(y for line in shown for _, y in line.points))
    floor = HEIGHT - _BOTTOM

    def place_x(x: float) -> float:
        return _LEFT + across.share(x) * (WIDTH - _LEFT - _RIGHT)

    def place_y(y: float) -> float:
        return floor - up.share(y) * (floor - _TOP)

    head = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg" font-size="10">'
    )
    parts = [head]
    parts += [
        f'<path d="M{_LEFT} {place_y(y):.1f}H{WIDTH - _RIGHT}" stroke="#e3e7ec"/>'
        f'<text x="{_LEFT - 4}" y="{place_y(y):.1f}" text-anchor="end" dominant-baseline="middle">{_number(y)}</text>'
        for y in up.labels
    ]
    parts += [
        f'<text x="{place_x(x):.1f}" y="{floor + 12}" text-anchor="middle">{_number(x)}</text>' for x in across.labels
    ]
    parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 6}" fill="#55606e">{escape(x_label)}</text>')
    for number, line in enumerate(shown):
        points = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[number]}" stroke-width="1.5"/>')
        if len(shown) > 1:
            parts.append(
                f'<text x="{WIDTH - _RIGHT - 30 * (len(shown) - 1 - number)}" y="{HEIGHT - 6}" text-anchor="end" '
                f'fill="{_COLOURS[number]}" font-weight="bold">{escape(line.name)}</text>'
            )
    return "".join([*parts, "</svg>"])


def _number(value: float) -> str:
    """Short enough for an axis."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"
