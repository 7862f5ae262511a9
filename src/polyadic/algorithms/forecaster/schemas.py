"""What a forecaster is asked and answers, as JSON Schemas: DeepAR's formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polyadic.algorithms.forecaster.requests import MOST_SAMPLES, OUTPUT_TYPES
from polyadic.jobs.model import Schemas


def schemas(steps: int, cardinalities: Sequence[int] | None, features: int | None) -> Schemas:
    """Those of a model of so many steps ahead, whose series have these categories and features."""
    observed = {"anyOf": [{"type": ["number", "null"]}, {"const": "NaN"}]}
    categories = [{"type": "integer", "minimum": 0, "maximum": count - 1} for count in cardinalities or ()]
    known: dict[str, Any] = {
        "start": {"type": "string", "description": "the first time stamp: YYYY-MM-DD HH:MM:SS"},
        "target": {"type": "array", "items": observed},
    }
    if categories:
        known["cat"] = {"type": "array", "prefixItems": categories, "minItems": len(categories), "items": False}
    if features:
        described = f"for each feature its values, {steps} beyond the target"
        feature = {"type": "array", "items": {"type": "number"}}
        known["dynamic_feat"] = {
            "type": "array", "description": described, "items": feature, "minItems": features, "maxItems": features
        }  # fmt: skip
    path = {"type": "array", "items": {"type": ["number", "null"]}, "minItems": steps, "maxItems": steps}
    return Schemas(
        instance={"type": "object", "properties": known, "required": list(known)},
        configuration={
            "type": "object",
            "properties": {
                "num_samples": {"type": "integer", "minimum": 1, "maximum": MOST_SAMPLES},
                "quantiles": {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
                "output_types": {"type": "array", "items": {"enum": list(OUTPUT_TYPES)}, "minItems": 1},
            },
            "additionalProperties": False,
        },
        prediction={
            "type": "object",
            "properties": {
                "mean": path,
                "quantiles": {"type": "object", "additionalProperties": path},
                "samples": {"type": "array", "items": path},
            },
            "additionalProperties": False,
        },
    )
