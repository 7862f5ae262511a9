"""Which variant of an endpoint is better, as the page shows it: what `python -m scripts.compare --json` says."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self


class ComparisonRow(NamedTuple):
    """A variant: its scored answers, its mean loss, and its difference from the champion's with the bounds of this."""

    variant: str
    scored: int
    mean_loss: float | None
    difference: float | None
    lower: float | None
    upper: float | None
    verdict: str


class SequencePoint(NamedTuple):
    """The difference estimated from n facts, and its bounds."""

    n: int
    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Sequence:
    """How the interval of one difference narrowed; margin: what counts as no difference, where that was said."""

    name: str
    points: tuple[SequencePoint, ...]
    margin: float | None = None


@dataclass(frozen=True)
class ComparisonView:
    """What the comparison of an endpoint's variants says; problem: why there is none, or what speaks against it."""

    verdict: str
    question: str = ""
    sentences: tuple[str, ...] = ()
    rows: tuple[ComparisonRow, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    problem: str | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """The view of what `scripts.compare` printed."""
        champion, contests = document["champion"], {each["variant"]: each for each in document["challengers"]}
        return cls(
            document["verdict"],
            document["question"],
            (
                *(each["sentence"] for each in contests.values()),
                *([] if document["verdict"] == "mismatch" else [document["ratio"]]),
                document["joined"],
                *document["notes"],
            ),
            tuple(_row(side, champion, contests.get(side["variant"])) for side in document["variants"]),
            tuple(
                Sequence(
                    f"{name} less {champion}",
                    tuple(SequencePoint(*point) for point in each["sequence"]),
                    each["margin"] or None,
                )
                for name, each in contests.items()
            ),
            document["ratio"] if document["verdict"] == "mismatch" else None,
        )


def _row(side: dict[str, Any], champion: str, contest: dict[str, Any] | None) -> ComparisonRow:
    name, scored, loss = side["variant"], side["scored"], side["loss"]
    if contest is None:
        return ComparisonRow(name, scored, loss, None, None, None, "champion" if name == champion else "")
    bounds = contest["difference"], contest["lower"], contest["upper"]
    return ComparisonRow(name, scored, loss, *bounds, f"{contest['verdict']} ({contest['design']})")
