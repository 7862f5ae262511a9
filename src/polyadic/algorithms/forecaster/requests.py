"""What a request may ask of a forecaster, and the answer to it, both as DeepAR has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyadic.errors import UserError, shorten, unknown
from polyadic.forecasting.series import Series

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
KEYS = ("num_samples", "quantiles", "output_types")
"""Of a request's configuration."""
OUTPUT_TYPES = ("mean", "quantiles", "samples")
MOST_SAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Query:
    """A series to forecast, in how many sample paths, and the quantiles and outputs that are asked for."""

    series: Series
    samples: int
    quantiles: tuple[str, ...]
    outputs: tuple[str, ...]


def parse_query(series: Series, given: Mapping[str, Any]) -> Query:
    """The query of a series and a request's configuration: num_samples, quantiles, output_types, or DeepAR's defaults.

    Raises UserError for a value that DeepAR would not take, and for another key.
    """
    for key in given:
        if key not in KEYS:
            raise UserError(unknown("key of configuration", key, KEYS))
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
    if "quantiles" in outputs and (fault := fault_in_quantiles(quantiles)):
        raise UserError(f"configuration.quantiles {fault}")
    levels = tuple(str(level) for level in quantiles)
    return Query(series=series, samples=samples, quantiles=levels, outputs=tuple(outputs))


def fault_in_quantiles(levels: Sequence[Any]) -> str | None:
    """What is wrong with levels of quantiles, as the end of a sentence about them; None where they are right."""
    if not levels:
        return "is an empty list: give one or more between 0 and 1, such as 0.5"
    for level in levels:
        try:
            inside = 0 < float(level) < 1
        except ValueError:
            inside = False
        if not inside:
            return f"holds {shorten(level)}, which is out of range: a quantile lies between 0 and 1, both excluded"
    return None


def answer(query: Query, mean_P: NDArray[np.float32], samples_SP: NDArray[np.float32]) -> dict[str, Any]:
    """The outputs that a query asks for, of the mean (P) and the sample paths (S x P) of its forecast."""
    outputs: dict[str, Any] = {}
    if "mean" in query.outputs:
        outputs["mean"] = mean_P
    if "quantiles" in query.outputs:
        levels = [float(level) for level in query.quantiles]
        quantiles_QP = np.quantile(samples_SP, levels, axis=0).astype(np.float32)
        outputs["quantiles"] = dict(zip(query.quantiles, quantiles_QP, strict=True))
    if "samples" in query.outputs:
        outputs["samples"] = samples_SP
    return outputs
