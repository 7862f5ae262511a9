"""What a request may ask of a forecaster, as it asks DeepAR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyadic.errors import UserError, shorten

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
OUTPUT_TYPES = ("mean", "quantiles", "samples")
MOST_SAMPLES = 10_000


def parse_configuration(given: Mapping[str, Any]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    """num_samples, quantiles and output_types of a configuration, with DeepAR's defaults; or UserError."""
    samples = given.get("num_samples", 100)
    if type(samples) is not int or not 1 <= samples <= MOST_SAMPLES:
        raise UserError(
            f"configuration.num_samples is {shorten(samples)}: it must be an integer from 1 to {MOST_SAMPLES}"
        )
    quantiles = given.get("quantiles", [f"{level:g}" for level in DECILES])
    if not isinstance(quantiles, list) or not all(isinstance(level, (str, float)) for level in quantiles):
        raise UserError(f'configuration.quantiles is {shorten(quantiles)}: it must be a list such as ["0.1", "0.9"]')
    outputs = given.get("output_types", ["mean", "quantiles"])
    if not isinstance(outputs, list) or not outputs or not all(output in OUTPUT_TYPES for output in outputs):
        raise UserError(
            f"configuration.output_types is {shorten(outputs)}: it must be a list of {', '.join(OUTPUT_TYPES)}"
        )
    if "quantiles" in outputs:
        refuse_quantiles(quantiles, "configuration.quantiles")
    return samples, tuple(str(level) for level in quantiles), tuple(outputs)


def refuse_quantiles(levels: Sequence[Any], name: str) -> None:
    """UserError for no level at all, or one outside (0, 1); `name` is what holds them."""
    if not levels:
        raise UserError(f"{name} is an empty list: give one or more between 0 and 1, such as 0.5")
    for level in levels:
        try:
            inside = 0 < float(level) < 1
        except ValueError:
            inside = False
        if not inside:
            raise UserError(
                f"{name} holds {shorten(level)}, which is out of range: a quantile lies between 0 and 1, both excluded"
            )
