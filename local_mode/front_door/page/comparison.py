"""Which variant of an endpoint predicts better, as the page shows it."""

from dataclasses import dataclass
from typing import NamedTuple


class ComparisonRow(NamedTuple):
    """A variant: rewards, mean loss, and its difference from the first variant's with the bounds of this."""

    variant: str
    rewards: int
    mean_loss: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    verdict: str


class SequencePoint(NamedTuple):
    """The difference estimated from n rewards, and its bounds."""

    n: int
    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ComparisonView:
    """What the comparison of an endpoint's variants says.

    margin: the difference that would still be no harm. sample_ratio: a sentence on whether the variants got their
    shares. problem: why there is nothing to compare, or what speaks against trusting it.
    """

    verdict: str
    sentence: str
    rows: tuple[ComparisonRow, ...]
    sequence: tuple[SequencePoint, ...]
    sample_ratio: str
    problem: str | None = None
    margin: float | None = None


def comparison_of(endpoint: str) -> ComparisonView | None:
    """The comparison of an endpoint's variants; None where it has none."""
    return None
