"""Changes of weights as tags of the endpoint, so that whoever compares its variants knows them on any machine."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts import history
from scripts.aws import explain, pages, warn
from scripts.history import Change, Weights

PREFIX = "polyadic:weights:"
FORGOTTEN = "polyadic:weights-forgotten"
"""The tag that has the time of the newest change of which there is a tag no longer."""
MOST_TAGS = 20
"""Of the 50 that a resource may have."""
VALUE_CHARACTERS = 256
VALUE = re.compile(r"(?P<action>\w+) (?P<settled>\S+) (?P<before>\S*) (?P<after>\S+)( (?P<models>\S+))?")


def tag(sagemaker: Any, arn: str, change: Change) -> None:
    """Keep a change that holds as a tag, and the newest of the earlier ones."""
    value = f"{change.action} {change.settled} {_written(change.before)} {_written(change.after)}"
    if change.models:
        value += " " + "+".join(f"{name}={model}" for name, model in change.models.items())
    if len(value) > VALUE_CHARACTERS:
        warn(
            f"the weights of {len(change.after)} variants are too long for a tag; only the history file has the change"
        )
        return
    try:
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"{PREFIX}{change.time}", "Value": value}])
        _forget(sagemaker, arn)
    except ClientError as error:  # A role may be allowed to change weights and no tags.
        warn(f"{explain(error)}; only the history file has the change")


def _forget(sagemaker: Any, arn: str) -> None:
    """Remove the oldest changes where there are too many, but the last deployment, which says whose the models are."""
    tags = all_tags(sagemaker, arn)
    kept = sorted(key for key in tags if key.startswith(PREFIX))
    deployed = [key for key in kept if tags[key].startswith("deploy ")]
    dropped = [key for key in kept[:-MOST_TAGS] if key not in deployed[-1:]]
    if dropped:
        newest = {"Key": FORGOTTEN, "Value": dropped[-1].removeprefix(PREFIX)}
        sagemaker.add_tags(ResourceArn=arn, Tags=[newest])
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=dropped)


@dataclass(frozen=True)
class Known:
    """The changes of an endpoint's weights, and the time of the newest that nobody has kept."""

    changes: list[Change]
    forgotten: str | None = None


def known(tags: dict[str, str], path: Path, endpoint: str) -> Known:
    """What the tags and the history file know together."""
    by_time = {change.time: change for change in changes(tags.items(), endpoint)}
    by_time |= {change.time: change for change in history.read(path, endpoint)}
    forgotten = tags.get(FORGOTTEN)
    ordered = [by_time[time] for time in sorted(by_time, key=history.seconds_of)]
    return Known(ordered, None if forgotten in by_time else forgotten)


def all_tags(sagemaker: Any, arn: str) -> dict[str, str]:
    """A resource's tags."""
    return {entry["Key"]: entry["Value"] for entry in pages(sagemaker.list_tags, "Tags", ResourceArn=arn)}


def changes(tags: Iterable[tuple[str, str]], endpoint: str) -> list[Change]:
    """The changes that tags keep, oldest first; what is no change of ours is passed over."""
    read = []
    for key, value in sorted(tags):
        try:
            if key.startswith(PREFIX) and (change := _change(key.removeprefix(PREFIX), value, endpoint)):
                read.append(change)
        except ValueError:  # Somebody else's weights and times.
            continue
    return read


def _change(time: str, value: str, endpoint: str) -> Change | None:
    parts = VALUE.fullmatch(value)
    if parts is None:
        return None
    for moment in (time, parts["settled"]):
        history.seconds_of(moment)
    before, after = (_weights(parts[name]) for name in ("before", "after"))
    action: Any = parts["action"]
    models = _words(parts["models"]) if parts["models"] else None
    return Change(time, endpoint, action, before, after, parts["settled"], models=models)


def _written(weights: Weights) -> str:
    return "+".join(f"{name}={value:.9g}".replace("e+", "e") for name, value in weights.items())


def _weights(text: str) -> Weights:
    return {name: float(value) for name, value in _words(text).items()}


def _words(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (each.partition("=") for each in text.split("+") if each)}
