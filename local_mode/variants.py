"""What a user says about an endpoint: its name, its variants and their weights."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_mode.errors import LocalModeError

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_VARIANTS = 10


@dataclass(frozen=True)
class Variant:
    """A production variant: a model archive and its share of the traffic."""

    name: str
    archive: Path
    weight: float = 1.0


def parse_variant(text: str) -> Variant:
    """Reads NAME=PATH/model.tar.gz:WEIGHT; the weight may be left out and is 1.0 then."""
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise LocalModeError(f"got --variant {text!r}: write NAME=PATH/model.tar.gz or NAME=PATH/model.tar.gz:WEIGHT")
    path, colon, number = rest.rpartition(":")
    weight = _as_float(number) if colon else None
    if weight is None:
        return Variant(check_name("variant", name), Path(rest))
    if not math.isfinite(weight) or weight < 0:
        raise LocalModeError(f"variant {name!r} has weight {number}: a weight is a number of 0 or more")
    return Variant(check_name("variant", name), Path(path), weight)


def check_name(what: str, name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > 63:
        raise LocalModeError(
            f"{name!r} is no {what} name: use at most 63 letters, digits and hyphens, and no hyphen at an end"
        )
    return name


def check_variants(variants: Sequence[Variant]) -> None:
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise LocalModeError(f"variant names must differ, and got {', '.join(names)}")
    if not 1 <= len(names) <= MAX_VARIANTS:
        raise LocalModeError(f"got {len(names)} variants: an endpoint has 1 to {MAX_VARIANTS}")


def _as_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
