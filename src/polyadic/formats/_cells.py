"""A cell of text: the number that it is, or what is wrong with it."""

from __future__ import annotations

import math
import re

from polyadic.errors import shorten
from polyadic.formats._coordinates import LARGEST_MODE

BLANKS = " \t"
"""What may stand around a number."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,300}", re.ASCII)
_UNBOUNDED = {"nan", "inf", "infinity"}


def parse_number(cell: str) -> int | float | None:
    """The number that a cell stands for; None where it is text, or NaN, or beyond what floats hold."""
    cell = cell.strip(BLANKS)
    if _WHOLE.fullmatch(cell):
        return int(cell)
    value = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return value if math.isfinite(value) else None


def is_unbounded(cell: str) -> bool:
    """Whether a cell says that it is NaN or infinite."""
    return cell.strip(BLANKS).lstrip("+-").lower() in _UNBOUNDED


def index_fault(cell: str, first: int) -> str | None:
    """What is wrong with a cell as an index that counts from `first`."""
    index = parse_number(cell)
    if index is None:
        return f"the index {shorten(cell)} is not a whole number"
    if index != math.floor(index):
        return f"the index {cell} is not a whole number"
    if index < first:
        return f"the index {cell} is too small: {'FROSTT counts from 1' if first else 'rows count from 0'}"
    if index - first >= LARGEST_MODE:
        rule = f"a mode has {LARGEST_MODE} rows at most"
        advice = "" if first else ". Number them from 0, or write them as text"
        return f"the index {shorten(cell)} is too large: {rule}{advice}"
    return None


def value_fault(cell: str) -> str | None:
    """What is wrong with a cell as a value."""
    if parse_number(cell) is not None:
        return None
    if is_unbounded(cell) or _NUMBER.fullmatch(cell.strip(BLANKS)):
        return f"the value {shorten(cell)} is not finite: leave out what is not known"
    if not cell.strip(BLANKS):
        return "the value is empty: leave out what is not known"
    return f"the value {shorten(cell)} is not a number"
