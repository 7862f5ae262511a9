"""What a decomposition may be asked and what it answers, as JSON Schemas."""

from __future__ import annotations

from typing import Any

from polyadic.jobs.model import Schemas
from polyadic.lowrank.fold_in import SLAB_KEYS
from polyadic.lowrank.indices import Mode, Modes
from polyadic.lowrank.questions import LARGEST_ANSWER_ENTRIES

NUMBER: dict[str, Any] = {"type": ["number", "null"]}
"""A value; one that is not finite is null."""
NESTED: dict[str, Any] = {"type": ["array", "number", "null"]}


def schemas(modes: Modes) -> Schemas:
    """Those of a tensor with these modes."""
    index = _tuple([_row(mode) for mode in modes])
    partial = _tuple([{"anyOf": [_row(mode), {"type": "null"}]} for mode in modes])
    others = {"type": "array", "items": {"type": ["integer", "string", "null"]}, "maxItems": len(modes)}
    slab = {
        "mode": {"type": "integer", "minimum": 0, "maximum": len(modes) - 1},
        "slab": NESTED,
        "indices": {"type": "array", "items": others, "minItems": 1},
        "values": {"type": "array", "items": {"type": "number"}, "minItems": 1},
        "absent": {"enum": ["missing", "zeros"]},
    }
    assert set(slab) == set(SLAB_KEYS)
    question = {
        "index": {"anyOf": [partial, others]},
        "top_k": {"type": "integer", "minimum": 1, "maximum": LARGEST_ANSWER_ENTRIES},
        "exclude": {"type": "array", "items": {"type": ["integer", "string"]}},
        "smallest": {"type": "boolean"},
    }
    return Schemas(
        instance={
            "description": "An entry, several entries, a slice, the best rows of a mode, or a new slab.",
            "anyOf": [
                index,
                _object({"indices": {"type": "array", "items": index, "minItems": 1}}, "indices"),
                _object({**question, "index": partial}, "index"),
                _object({**question, "fold_in": _object(slab, "mode"), "indices": slab["indices"]}, "fold_in"),
            ],
        },
        configuration={"type": "object"},
        prediction=_object(
            {
                "value": {"description": "An entry, or a slice with its null modes in their order.", **NESTED},
                "values": {"type": "array", "items": NUMBER},
                "top": {
                    "type": "array",
                    "items": _object(
                        {"index": {"type": "integer"}, "label": {"type": "string"}, "value": NUMBER}, "index", "value"
                    ),
                },
                "embedding": {"type": "array", "items": NUMBER},
                "residual": NUMBER,
            }
        ),
    )


def _row(mode: Mode) -> dict[str, Any]:
    """A row of a mode: its number, or its label."""
    number = {"type": "integer", "minimum": 0, "maximum": mode.rows - 1}
    if mode.labels is None:
        return number
    label: dict[str, Any] = {"type": "string"} if len(mode.labels) > MOST_LABELS else {"enum": list(mode.labels)}
    return {"description": f"a row of {mode}", "anyOf": [label, number]}


MOST_LABELS = 100
"""Labels that are listed; of more, any text is described."""


def _tuple(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items), "maxItems": len(items)}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
