"""Changes of weights as tags of the endpoint, so that whoever compares its variants knows them on any machine."""

import re
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from scripts.aws import explain, pages, warn
from scripts.history import Change, Weights

PREFIX = "polyadic:weights:"
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
        kept = sorted(key for key in all_tags(sagemaker, arn) if key.startswith(PREFIX))
        if len(kept) > MOST_TAGS:
            sagemaker.delete_tags(ResourceArn=arn, TagKeys=kept[:-MOST_TAGS])
    except ClientError as error:  # A role may be allowed to change weights and no tags.
        warn(f"{explain(error)}; only the history file has the change")


def all_tags(sagemaker: Any, arn: str) -> dict[str, str]:
    """A resource's tags."""
    return {entry["Key"]: entry["Value"] for entry in pages(sagemaker.list_tags, "Tags", ResourceArn=arn)}


def changes(tags: Iterable[tuple[str, str]], endpoint: str) -> list[Change]:
    """The changes that tags keep, oldest first; what is no change of ours is passed over."""
    known = []
    for key, value in sorted(tags):
        parts = VALUE.fullmatch(value) if key.startswith(PREFIX) else None
        if parts is not None:
            before, after = (_weights(parts[name]) for name in ("before", "after"))
            models = _words(parts["models"]) if parts["models"] else None
            action: Any = parts["action"]
            time, settled = key.removeprefix(PREFIX), parts["settled"]
            known.append(Change(time, endpoint, action, before, after, settled, models=models))
    return known


def _written(weights: Weights) -> str:
    return "+".join(f"{name}={value:.9g}".replace("e+", "e") for name, value in weights.items())


def _weights(text: str) -> Weights:
    return {name: float(value) for name, value in _words(text).items()}


def _words(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (each.partition("=") for each in text.split("+") if each)}
