"""Charts as numbers: where the lines of an SVG run and what stands at its axes; the templates draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local_mode.front_door.page.comparison import Sequence as Narrowing
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
    """A confidence sequence: the estimate within its band, by the number of facts; zero and margins are levels."""

    name: str
    line: str
    band: str
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    zero: float
    margins: tuple[Tick, ...]


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


def sequence_chart(narrowing: Narrowing) -> SequenceChart | None:
    """The chart of a confidence sequence, from the first bounds that are finite; None without any.

    The first bounds are so wide that the last ones would be a line: the vertical axis is that of the later ones.
    """
    points = [point for point in narrowing.points if all(map(math.isfinite, point))]
    if not points:
        return None
    margins = [] if narrowing.margin is None else [narrowing.margin, -narrowing.margin]
    late = points[len(points) // 3 :]
    x = Scale(float(points[0].n), float(points[-1].n), LEFT, WIDTH - RIGHT)
    y = _upward([0.0, *margins, *(point.lower for point in late), *(point.upper for point in late)])

    def place(n: int, value: float) -> tuple[float, float]:
        return x(n), y(min(max(value, y.low), y.high))

    upper, lower = ([place(point.n, point[side]) for point in points] for side in (3, 2))
    return SequenceChart(
        narrowing.name,
        _path([place(point.n, point.estimate) for point in points]),
        f"{_path([*upper, *reversed(lower)])}Z",
        x.ticks(number),
        y.ticks(number),
        y(0.0),
        tuple(Tick(y(margin), number(abs(margin))) for margin in margins),
    )


def _upward(values: Sequence[float]) -> Scale:
    """The scale of a vertical axis, whose places run downward."""
    return Scale(min(values), max(values), HEIGHT - BOTTOM, TOP)


def _path(points: Sequence[tuple[float, float]]) -> str:
    """A path through points; one point alone becomes a dot of a round cap."""
    places = [f"{x:g} {y:g}" for x, y in points]
    return f"M{'L'.join(places if len(places) > 1 else places * 2)}"
