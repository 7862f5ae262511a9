"""Options that a job may set: typed fields with their meaning, bounds and the range worth tuning over."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Options that belong together, such as those of a recurrent cell; each field is made by `option`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def option(
    about: str,
    default: Any = ...,
    *,
    tunable: tuple[float, float] | None = None,
    none: str | None = None,
    **bounds: Any,
) -> Any:
    """A field: what it is, its default (required without one), its bounds, the range worth tuning over.

    `none` is the word that a job may write for None, where the field takes that; an empty text otherwise.
    """
    extra: Any = ({"tunable": list(tunable)} if tunable else {}) | ({"none": none} if none else {})
    return Field(default, description=about, json_schema_extra=extra or None, **bounds)
