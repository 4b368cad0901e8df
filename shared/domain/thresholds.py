"""Limits on quality figures: what a sample must reach before its results are released. Pure."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from shared.domain.ids import Document
from shared.domain.qc import FIGURES, QcMetric


def number(value: float) -> str:
    """A figure or a limit with all the digits that can decide, such as ``29.999999`` or ``30,000,000``."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


class Limit(Document):
    """The range that a figure must lie in, ends included; in the figure's own unit, fractions as 0 to 1."""

    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min:g} is above `max` {self.max:g}")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value lies in the range."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        if self.min is None:
            assert self.max is not None, "a limit has an end"
            return f"at most {number(self.max)}"
        return f"at least {number(self.min)}" if self.max is None else f"{number(self.min)} to {number(self.max)}"


def _known(limits: dict[str, Limit]) -> dict[str, Limit]:
    if strange := sorted(set(limits) - set(FIGURES)):
        raise ValueError(f"there is no quality figure '{strange[0]}'; known are {', '.join(sorted(FIGURES))}")
    return limits


Limits = Annotated[
    dict[str, Limit],
    AfterValidator(_known),
    Field(description='Range by quality figure, such as {"mean_depth": {"min": 30}}'),
]
"""Limits by the name of a figure of `qc.json`."""

DEFAULT_LIMITS: Mapping[str, Limit] = {
    "contamination": Limit(max=0.05),
    "identity_concordance": Limit(min=0.9),
    "sex_concordance": Limit(min=1),
}
"""What holds without anyone asking, where it could be measured: signs that the sample is not who it should be.

Five per cent of another person's reads begin to show as low-fraction heterozygotes; two samples of one person agree at
99 % of common sites, relatives at far less than 90 %.
"""


class Missed(Document):
    """A figure that misses its limit; `value` is None when it was asked for and could not be measured."""

    figure: str
    value: float | None
    limit: Limit

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.figure} could not be measured; {self.limit} is required."
        return f"{self.figure} is {number(self.value)}; {self.limit} is required."


def in_force(asked: Mapping[str, Limit]) -> dict[str, Limit]:
    """The limits that a sample is judged by, in order of figure: those asked for go before the default ones."""
    return dict(sorted({**DEFAULT_LIMITS, **asked}.items()))


def missed_limits(figures: Mapping[str, QcMetric], asked: Mapping[str, Limit]) -> tuple[Missed, ...]:
    """Why a sample must be held, one entry per figure out of its range, in order of name; empty when it may go.

    Args:
        figures: What was measured.
        asked: Limits of the order or of the test; they take the place of `DEFAULT_LIMITS` figure by figure. A figure
            that is asked for and could not be measured is a fault; one with a default limit only is not.
    """
    found = []
    for name, limit in in_force(asked).items():
        figure = figures.get(name)
        if figure is None:
            if name in asked:
                found.append(Missed(figure=name, value=None, limit=limit))
        elif not limit.holds(figure.value):
            found.append(Missed(figure=name, value=figure.value, limit=limit))
    return tuple(found)


def faults(figures: Mapping[str, QcMetric], asked: Mapping[str, Limit]) -> tuple[str, ...]:
    """`missed_limits` as sentences."""
    return tuple(str(missed) for missed in missed_limits(figures, asked))
