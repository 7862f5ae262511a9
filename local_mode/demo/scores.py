"""Losses beside those of the commands, and the table of what all comparisons said."""

import math
from collections.abc import Sequence

import numpy as np

from local_mode.demo.experiment import Look
from local_mode.demo.series import Series, Values

HEADER = ["comparison", "by", "requests", "difference", "from", "to", "verdict"]


def mase(series: Series, forecast: Values, actuals: Values) -> float:
    """Mean absolute error in units of the seasonal naive error on what the models saw; gaps do not count."""
    known = np.abs(forecast - actuals)[~np.isnan(actuals)]
    return float(known.mean()) / series.naive_error if len(known) else math.nan


def summary(looks: Sequence[Look]) -> str:
    """One row for each comparison."""
    return aligned([HEADER, *(_row(look) for look in looks)])


def _row(look: Look) -> list[str]:
    numbers = [_text(look.number(name)) for name in ("difference", "lower", "upper")]
    return [look.title, str(look.contest["design"]), f"{look.contest['requests']:,}", *numbers, look.verdict]


def _text(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines of columns, the first one flush left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
