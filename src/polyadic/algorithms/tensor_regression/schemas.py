"""What a tensor regression is asked and answers, as JSON Schemas."""

from __future__ import annotations

from typing import Any

from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.inputs import Modalities
from polyadic.algorithms.tensor_regression.labels import Labels
from polyadic.jobs.model import Schemas


def schemas(modalities: Modalities, labels: Labels, settings: Hyperparameters) -> Schemas:
    """Those of a model of these modalities and labels."""
    values = {modality.name: modality.schema() for modality in modalities.each}
    instance: dict[str, Any] = {"type": "object", "properties": values, "additionalProperties": False}
    if not modalities.missing:
        instance["required"] = list(values)
    shown = [instance, {"type": "object", "properties": {"data": instance}, "required": ["data"]}]
    if len(values) == 1 and "features" not in values:
        alias = {"features": next(iter(values.values()))}
        shown.insert(1, {"type": "object", "properties": alias, "required": ["features"]})
    number = {"type": "number"}
    several = settings.predictor_type == "multiclass_classifier"
    classes = len(labels.classes or ())
    listed: dict[str, Any] = {"type": "array", "items": number, "minItems": classes, "maxItems": classes}
    known: dict[str, Any] = {"score": listed if several else number}
    if labels.classes is not None:
        known["predicted_label"] = {"enum": list(labels.classes)}
    required = list(known)
    shares = {"type": "array", "items": number}
    known["components"] = {"type": "array", "items": shares} if several else shares
    known["intercept"] = listed if several else number
    return Schemas(
        instance={"anyOf": shown},
        configuration={
            "type": "object",
            "properties": {"explain": {"type": "boolean", "description": "each component's share of the score"}},
            "additionalProperties": False,
        },
        prediction={"type": "object", "properties": known, "required": required, "additionalProperties": False},
    )
