"""The variants of a deployment as the command line names them: NAME=SOURCE:WEIGHT."""

import math
import re
from dataclasses import dataclass

from scripts.aws import Invalid, UsageError, resource_name
from scripts.hosting.source import FORMS, PATTERN, Source, source

MOST_VARIANTS = 10
WHOLE = re.compile(rf"(?P<name>[^=]+)=(?P<source>{PATTERN})(:(?P<weight>[^:/]+))?")


@dataclass(frozen=True)
class Variant:
    """A variant's name, where its model comes from, and its weight where one is given."""

    name: str
    source: Source
    weight: float | None


def variant(text: str) -> Variant:
    """Read NAME=SOURCE[:WEIGHT]."""
    parts = WHOLE.fullmatch(text)
    if parts is None:
        raise Invalid(f"got {text!r}; allowed is NAME=SOURCE:WEIGHT, where SOURCE is {FORMS}")
    given = parts["weight"]
    return Variant(resource_name(parts["name"]), source(parts["source"]), None if given is None else weight(given))


def shadow(text: str) -> Variant:
    """Read NAME=SOURCE[:SHARE]; the weight is the share of the requests of which the shadow gets a copy."""
    named = variant(text)
    if named.weight is not None and not 0 < named.weight <= 1:
        raise Invalid(f"got share {named.weight:g}; allowed is a number above 0, and 1 at most")
    return named


def weight(text: str) -> float:
    """Read a variant's weight: a finite number, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise Invalid(f"got weight {text!r}; allowed is a number of 0 or more")
    return value


def check_variants(variants: list[Variant], shadows: list[Variant]) -> None:
    """A UsageError for names that are given twice, for too many variants, and for a shadow of several."""
    names = [entry.name for entry in (*variants, *shadows)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"variant {name!r} is given twice; each variant needs a name of its own")
    if len(variants) > MOST_VARIANTS:
        raise UsageError(f"got {len(variants)} variants; an endpoint takes {MOST_VARIANTS} at most")
    if len(shadows) > 1:
        raise UsageError(f"got {len(shadows)} shadows; an endpoint takes one")
    if shadows and len(variants) > 1:
        raise UsageError(
            f"got {len(variants)} variants and a shadow; an endpoint with a shadow has one variant: "
            "give one --variant, or the shadow as a variant with a weight of its own"
        )
