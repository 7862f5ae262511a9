"""JSON as it comes from elsewhere, and as it may leave here."""

import json
import math
from datetime import date, time
from decimal import Decimal
from typing import Any

import orjson


def read_json(text: bytes | str) -> Any:
    """The content of a document, in which NaN and Infinity are numbers; a ValueError where it is none.

    A whole number of more than 64 bits is read as the nearest float.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # Python's own reader is slower, and knows NaN.
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def finite(value: Any) -> Any:
    """The value with null for what is no finite number, which JSON has no word for, and with dates as text."""
    if isinstance(value, dict):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, date | time):
        return value.isoformat()
    number = float(value) if isinstance(value, Decimal) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number
