"""The difference of each challenger from the champion, and how its interval narrowed."""

from pathlib import Path

from scripts.ab.evidence import Contest, Evidence
from scripts.ab.report import points, sentence
from scripts.aws import Invalid, UsageError

WIDTH, HEIGHT = 7.0, 3.2
"""Inches of one challenger's panel."""


def picture(text: str) -> Path:
    """Read the name of a picture's file."""
    if Path(text).suffix.lower() not in (".png", ".svg"):
        raise Invalid(f"got {text!r}; allowed are names that end with .png or .svg")
    return Path(text)


def draw(evidence: Evidence, path: Path) -> None:
    """Draw one panel for each challenger into a .png or .svg file."""
    from matplotlib.figure import Figure  # Half a second that a look without a picture need not wait for.

    panels = evidence.contests
    figure = Figure(figsize=(WIDTH, HEIGHT * max(1, len(panels))), layout="constrained")
    axes = figure.subplots(max(1, len(panels)), 1, squeeze=False)[:, 0]
    for axis, contest in zip(axes, panels, strict=False):
        _panel(axis, contest, evidence)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"cannot write the picture {path}: {error.strerror or error}") from error


def _panel(axis: object, contest: Contest, evidence: Evidence) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axis, Axes)
    known = points(contest)
    margin = contest.comparison.margin
    axis.axhline(0.0, color="0.3", linewidth=1)
    if margin:
        axis.axhspan(-margin, margin, color="0.9", zorder=0)
    if known:
        counts, estimates, lowers, uppers = zip(*known, strict=True)
        axis.fill_between(counts, lowers, uppers, color="tab:blue", alpha=0.25, label="interval, valid at every look")
        axis.plot(counts, estimates, color="tab:blue", label="difference so far")
        axis.set_xscale("log")
        late = [bound for _, _, low, high in known[len(known) // 3 :] for bound in (low, high)]
        reach = 1.1 * max(map(abs, (*late, margin)))
        axis.set_ylim(-reach or -1.0, reach or 1.0)  # Models that never differ have no reach.
        axis.legend(loc="best", fontsize="small", frameon=False)
    axis.set_title(sentence(contest, evidence.champion), loc="left", fontsize="medium")
    axis.set_xlabel("facts (requests, or clusters of them)")
    axis.set_ylabel(f"loss: {contest.challenger} - {evidence.champion}")
