"""What a deployment changes of an endpoint that lives: a table of before and after, and the question whether to."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.aws import CommandError, UsageError
from scripts.endpoint import shares
from scripts.hosting.fleet import Fleet, Served

NONE = "-"


@dataclass(frozen=True)
class Row:
    """A line of the table. loses: whether something of the endpoint as it is goes or becomes another."""

    what: str
    before: str
    after: str
    loses: bool = True


def compare(before: Fleet, after: Fleet) -> list[Row]:
    """What differs, in the order of a reader's interest."""
    return [
        *_variant_rows(before, after),
        *_shadow_rows(before, after),
        *_rows("capture", _capture(before.capture), _capture(after.capture)),
        *_rows("alarms", ", ".join(before.alarms) or NONE, ", ".join(after.alarms) or NONE),
    ]


def confirm(rows: Sequence[Row], agreed: bool) -> None:
    """Show the rows, and where one of them loses something ask for a yes, which `agreed` says beforehand."""
    if rows:
        print(_table(rows), flush=True)
    if agreed or not any(row.loses for row in rows):
        return
    if not sys.stdin.isatty():
        raise UsageError("the endpoint would lose or change what the table shows; give --yes to do it")
    if _answer("change the endpoint? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


def _answer(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        return ""


def _variant_rows(before: Fleet, after: Fleet) -> Iterator[Row]:
    old, new = before.weights(), after.weights()
    was, becomes = shares(old), shares(new)
    for name in dict.fromkeys([*old, *new]):
        weight_before = f"{old[name]:g} ({was[name]:.1%})" if name in old else NONE
        weight_after = f"{new[name]:g} ({becomes[name]:.1%})" if name in new else NONE
        if name not in old or name not in new:
            yield Row(f"variant {name}", weight_before, weight_after, name in old)
            continue
        if not _equal(was[name], becomes[name]) or not _equal(old[name], new[name]):
            yield Row(f"{name}: weight", weight_before, weight_after)
        yield from _served_rows(name, before.variants[name], after.variants[name])


def _served_rows(name: str, before: Served, after: Served) -> Iterator[Row]:
    yield from _rows(f"{name}: instances", _instances(before), _instances(after))
    yield from _rows(f"{name}: image", before.image or NONE, after.image or NONE)
    # Another model is what a deployment is for.
    yield from _rows(f"{name}: model", before.artifact or NONE, after.artifact or NONE, loses=False)


def _shadow_rows(before: Fleet, after: Fleet) -> Iterator[Row]:
    old, new = before.shadow, after.shadow
    if old is None or new is None or old.name != new.name:
        yield from _rows("shadow", _shadow(before), _shadow(after))
        return
    if not _equal(before.shadow_share(), after.shadow_share()):
        yield Row(f"shadow {old.name}: share", f"{before.shadow_share():.1%}", f"{after.shadow_share():.1%}")
    yield from _served_rows(f"shadow {old.name}", old, new)


def _shadow(fleet: Fleet) -> str:
    return NONE if fleet.shadow is None else f"{fleet.shadow.name}, {fleet.shadow_share():.1%} of the requests"


def _rows(what: str, before: str, after: str, loses: bool = True) -> Iterator[Row]:
    if before != after:
        yield Row(what, before, after, loses and before != NONE)


def _instances(served: Served) -> str:
    return f"{served.instance_count} x {served.instance_type}"


def _capture(config: dict[str, Any] | None) -> str:
    return NONE if config is None else f"{config['InitialSamplingPercentage']} % to {config['DestinationS3Uri']}"


def _equal(left: float, right: float) -> bool:
    # AWS keeps weights in single precision.
    return math.isclose(left, right, rel_tol=1e-5)


def _table(rows: Sequence[Row]) -> str:
    lines = [("", "before", "after"), *((row.what, row.before, row.after) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    return "\n".join(f"{what:<{widths[0]}}  {before:<{widths[1]}}  {after}".rstrip() for what, before, after in lines)
