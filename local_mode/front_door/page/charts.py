"""Charts as numbers: where the lines of an SVG run and what stands at its axes; the templates draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_mode.front_door.page.comparison import ComparisonView
from local_mode.front_door.page.curves import Curve
from local_mode.front_door.page.units import duration, number

WIDTH, HEIGHT = 320, 120
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 8, 20
SPARK_WIDTH, SPARK_HEIGHT = 80, 20


@dataclass(frozen=True)
class Tick:
    """A label at an axis, and its place."""

    place: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps values to places; both ends may be equal."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        """The place of a value, in tenths of a unit."""
        share = 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)
        return round(self.first + share * (self.last - self.first), 1)

    def ticks(self, label: Callable[[float], str]) -> tuple[Tick, ...]:
        """A tick at each end."""
        ends = (self.low,) if self.low == self.high else (self.low, self.high)
        return tuple(Tick(self(value), label(value)) for value in ends)


@dataclass(frozen=True)
class LineChart:
    """A curve; last: its newest value."""

    name: str
    line: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    last: str
    values: int


@dataclass(frozen=True)
class SequenceChart:
    """A confidence sequence: the estimate within its band, by the number of rewards; zero and margin are levels."""

    line: str
    band: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    zero: float
    margin: Tick | None


def line_chart(name: str, curve: Curve) -> LineChart:
    """The chart of a curve over the seconds since its first point."""
    began = curve[0][0]
    x = Scale(0.0, curve[-1][0] - began, LEFT, WIDTH - RIGHT)
    y = _upward([value for _, value in curve])
    line = _path([(x(moment - began), y(value)) for moment, value in curve])
    return LineChart(name, line, x.ticks(duration), y.ticks(number), number(curve[-1][1]), len(curve))


def spark(curve: Curve) -> str:
    """The path of a curve in a cell of a table."""
    values = [value for _, value in curve]
    x = Scale(curve[0][0], curve[-1][0], 1, SPARK_WIDTH - 1)
    y = Scale(min(values), max(values), SPARK_HEIGHT - 2, 2)
    return _path([(x(moment), y(value)) for moment, value in curve])


def sequence_chart(comparison: ComparisonView) -> SequenceChart | None:
    """The chart of a comparison's confidence sequence, from the first bounds that are finite; None without any."""
    points = [point for point in comparison.sequence if all(map(math.isfinite, point))]
    if not points:
        return None
    levels = [0.0] if comparison.margin is None else [0.0, comparison.margin]
    x = Scale(float(points[0].n), float(points[-1].n), LEFT, WIDTH - RIGHT)
    y = _upward([*levels, *(point.lower for point in points), *(point.upper for point in points)])
    upper = [(x(point.n), y(point.upper)) for point in points]
    lower = [(x(point.n), y(point.lower)) for point in points]
    return SequenceChart(
        _path([(x(point.n), y(point.estimate)) for point in points]),
        f"{_path([*upper, *reversed(lower)])}Z",
        x.ticks(number),
        y.ticks(number),
        y(0.0),
        None if comparison.margin is None else Tick(y(comparison.margin), number(comparison.margin)),
    )


def _upward(values: Sequence[float]) -> Scale:
    """The scale of a vertical axis, whose places run downward."""
    return Scale(min(values), max(values), HEIGHT - BOTTOM, TOP)


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A path through points; one point alone becomes a dot of a round cap."""
    places = [f"{x:g} {y:g}" for x, y in points]
    return f"M{'L'.join(places if len(places) > 1 else places * 2)}"
