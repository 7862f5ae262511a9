"""Hyperparameters that are more than a number or a word: how they are read, and how they are written again."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator

from polyadic.algorithms.forecaster.requests import fault_in_quantiles
from polyadic.errors import UserError
from polyadic.forecasting.calendar import FREQUENCY_RULE, Frequency


def _frequency(value: object) -> Frequency:
    """The frequency that a text names; ValueError for another value."""
    if isinstance(value, Frequency):
        return value
    try:
        return Frequency.parse(str(value))
    except UserError:
        raise ValueError(FREQUENCY_RULE) from None


def _quantiles(levels: tuple[float, ...]) -> tuple[float, ...]:
    """The same levels; ValueError where they are none, or one is not between 0 and 1."""
    if fault := fault_in_quantiles(levels):
        raise ValueError(f"it {fault}")
    return levels


TimeFrequency = Annotated[Frequency, PlainValidator(_frequency), PlainSerializer(str, return_type=str)]
"""A step of time, written as a text such as 15min."""
Quantiles = Annotated[tuple[float, ...], AfterValidator(_quantiles), PlainSerializer(list, return_type=list[float])]
"""Levels of quantiles, each between 0 and 1, written as a list."""
