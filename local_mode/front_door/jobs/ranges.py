"""What a tuning job may choose from: ParameterRanges as distributions of optuna, and choices as hyperparameters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_mode.front_door.resources import Document, refuse_not_honoured
from local_mode.front_door.shapes import invalid

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

WIDE = 1000.0
"""From this ratio of its ends on, a positive range with ScalingType Auto is searched by its logarithm."""


@dataclass(frozen=True)
class Range:
    """A hyperparameter's range; reverse: it is 1 minus what is drawn."""

    name: str
    distribution: "BaseDistribution"
    whole: bool = False
    reverse: bool = False

    def text(self, drawn: Any) -> str:
        """The hyperparameter that a draw means, as SageMaker writes it."""
        if isinstance(drawn, str):
            return drawn
        value = 1.0 - drawn if self.reverse else drawn
        return str(int(value)) if self.whole else repr(float(value))


def ranges_of(parameters: Mapping[str, Any]) -> list[Range]:
    """The ranges of a tuning job; Fault for those that are none."""
    from optuna.distributions import CategoricalDistribution

    refuse_not_honoured(
        parameters,
        ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges"),
        "ParameterRanges.",
    )
    found = [_numbers(each, whole=True) for each in parameters.get("IntegerParameterRanges") or []]
    found += [_numbers(each, whole=False) for each in parameters.get("ContinuousParameterRanges") or []]
    found += [
        Range(each["Name"], CategoricalDistribution(list(dict.fromkeys(each["Values"]))))
        for each in parameters.get("CategoricalParameterRanges") or []
    ]
    names = [each.name for each in found]
    if not found or len(set(names)) < len(names):
        raise invalid(
            f"ParameterRanges must have one range or more, each of another name; got {', '.join(names) or 'none'}"
        )
    return found


def grid_of(ranges: Sequence[Range]) -> dict[str, list[Any]]:
    """All values of each range, which must be categorical."""
    from optuna.distributions import CategoricalDistribution

    grid = {}
    for each in ranges:
        if not isinstance(each.distribution, CategoricalDistribution):
            raise invalid(f"Strategy Grid takes categorical ranges alone, and {each.name} is none")
        grid[each.name] = list(each.distribution.choices)
    return grid


def _numbers(parameter: Document, *, whole: bool) -> Range:
    from optuna.distributions import FloatDistribution, IntDistribution

    name, scaling = parameter["Name"], parameter.get("ScalingType") or "Auto"
    try:
        low, high = (float(parameter[end]) for end in ("MinValue", "MaxValue"))
    except ValueError:
        raise _no_range(parameter, "its ends must be numbers") from None
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise _no_range(parameter, "MinValue must not be greater than MaxValue")
    if whole and not (low.is_integer() and high.is_integer()):
        raise _no_range(parameter, "its ends must be whole numbers")
    if scaling == "Logarithmic" and low <= 0:
        raise _no_range(parameter, "MinValue of a logarithmic scale must be greater than 0")
    if scaling == "ReverseLogarithmic":
        if whole or low < 0 or high >= 1:
            raise _no_range(parameter, "a reverse logarithmic scale is for continuous ranges within 0 and 1, without 1")
        return Range(name, FloatDistribution(1 - high, 1 - low, log=True), reverse=True)
    log = scaling == "Logarithmic" or (scaling == "Auto" and low > 0 and high / low >= WIDE)
    if whole:
        return Range(name, IntDistribution(int(low), int(high), log=log), whole=True)
    return Range(name, FloatDistribution(low, high, log=log))


def _no_range(parameter: Document, reason: str) -> Exception:
    ends = f"{parameter['MinValue']} to {parameter['MaxValue']}"
    return invalid(f"the range of {parameter['Name']} is {ends}, {parameter.get('ScalingType') or 'Auto'}: {reason}")
