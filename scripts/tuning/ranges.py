"""What a tuning job may choose from: `--tune` as the command line has it, checked against the algorithm's schema."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.aws import Invalid, UsageError, nearest
from scripts.schema import Specification

FORMS = "NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C, such as rank=2:20"
MOST_RANGES = 30
MOST_VALUES = 30
KINDS = {"Integer": "a whole number", "Continuous": "a number", "Categorical": "one of its values"}


@dataclass(frozen=True)
class Tuned:
    """A hyperparameter to tune: between two ends, whose order of magnitude is searched with `log`, or of values."""

    name: str
    ends: tuple[str, str] | None = None
    log: bool = False
    values: tuple[str, ...] = ()


def tuned(text: str) -> Tuned:
    """Read NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C."""
    parts = re.fullmatch(r"([^=]+)=(?:([^:,]+):([^:,]+)(:log)?|([^:,]+(?:,[^:,]+)+))", text)
    if parts is None:
        raise Invalid(f"got {text!r}; allowed is {FORMS}")
    name, low, high, log, values = parts.groups()
    if values:
        return Tuned(name, values=tuple(dict.fromkeys(values.split(","))))
    return Tuned(name, (low, high), log is not None)


def parameter_ranges(wanted: Sequence[Tuned], specification: Specification) -> dict[str, list[dict[str, Any]]]:
    """CreateHyperParameterTuningJob's ParameterRanges; a UsageError for what the schema does not let be tuned."""
    supported = {entry["Name"]: entry for entry in specification["SupportedHyperParameters"]}
    names = [entry.name for entry in wanted]
    if len(names) > MOST_RANGES:
        raise UsageError(f"got {len(names)} hyperparameters to tune; SageMaker takes {MOST_RANGES} at most")
    ranges: dict[str, list[dict[str, Any]]] = {}
    for entry in wanted:
        if names.count(entry.name) > 1:
            raise UsageError(f"hyperparameter {entry.name!r} is to be tuned twice; give it one --tune")
        _check_tunable(entry.name, supported)
        kind = "Categorical" if entry.values else supported[entry.name]["Type"]
        ranges.setdefault(f"{kind}ParameterRanges", []).append(_range(entry, supported[entry.name]))
    return ranges


def tunable(specification: Specification) -> list[dict[str, Any]]:
    """The schema's entries of the hyperparameters that can be tuned."""
    return [entry for entry in specification["SupportedHyperParameters"] if entry.get("IsTunable")]


def example(specification: Specification, given: Mapping[str, str]) -> str:
    """A --tune that makes sense: around a value of the recipe, where it has one."""
    entries = tunable(specification)
    entry = next((entry for entry in entries if _is_positive(given.get(entry["Name"], ""))), entries[0])
    value = float(given[entry["Name"]]) if _is_positive(given.get(entry["Name"], "")) else None
    if entry["Type"] == "Integer":
        middle = 4 if value is None else int(value)
        return f"--tune {entry['Name']}={max(1, middle // 2)}:{2 * middle}"
    middle_value = 0.01 if value is None else value
    return f"--tune {entry['Name']}={middle_value / 10:g}:{middle_value * 10:g}:log"


def _check_tunable(name: str, supported: Mapping[str, dict[str, Any]]) -> None:
    if name not in supported:
        raise UsageError(f"unknown hyperparameter {name!r} to tune; {nearest(name, supported)}")
    if not supported[name].get("IsTunable"):
        known = ", ".join(sorted(entry["Name"] for entry in supported.values() if entry.get("IsTunable")))
        raise UsageError(f"hyperparameter {name!r} is not one to tune; tunable are {known}")


def _range(wanted: Tuned, entry: dict[str, Any]) -> dict[str, Any]:
    if wanted.ends is None:
        if len(wanted.values) > MOST_VALUES:
            raise UsageError(f"--tune {wanted.name} has {len(wanted.values)} values; SageMaker takes {MOST_VALUES}")
        for value in wanted.values:
            _check_value(wanted.name, value, entry)
        return {"Name": wanted.name, "Values": list(wanted.values)}
    if entry["Type"] == "Categorical":
        raise UsageError(f"hyperparameter {wanted.name!r} has no order; list values, as --tune {wanted.name}=A,B")
    low, high = (_check_value(wanted.name, end, entry) for end in wanted.ends)
    if low >= high:
        raise UsageError(f"--tune {wanted.name} goes from {low:g} to {high:g}; give the lower end first")
    if wanted.log and low <= 0:
        raise UsageError(f"--tune {wanted.name} begins at {low:g}; a logarithmic range begins above 0")
    scale = "Logarithmic" if wanted.log else "Auto"
    return {"Name": wanted.name, "MinValue": wanted.ends[0], "MaxValue": wanted.ends[1], "ScalingType": scale}


def _check_value(name: str, text: str, entry: dict[str, Any]) -> float:
    """The value as a number, 0 for one without; a UsageError where the schema does not allow it."""
    kind = entry["Type"]
    limits: dict[str, Any] = (entry.get("Range") or {}).get(f"{kind}ParameterRangeSpecification") or {}
    if kind == "Categorical":
        if text not in limits.get("Values", [text]):
            raise UsageError(f"hyperparameter {name!r}: got {text!r}; allowed are {', '.join(limits['Values'])}")
        return 0.0
    value = _number(text, whole=kind == "Integer")
    low, high = float(limits.get("MinValue", -math.inf)), float(limits.get("MaxValue", math.inf))
    if value is None or not low <= value <= high:
        raise UsageError(f"hyperparameter {name!r}: got {text!r}; allowed is {KINDS[kind]} from {low:g} to {high:g}")
    return value


def _number(text: str, whole: bool) -> float | None:
    try:
        value = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _is_positive(text: str) -> bool:
    value = _number(text, whole=False)
    return value is not None and value > 0
