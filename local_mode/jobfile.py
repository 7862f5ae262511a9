"""Reads what the command line says about a training job."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from local_mode.errors import LocalModeError

CHANNEL = re.compile(r"[A-Za-z0-9.\-_]{1,64}")


def parse_channels(arguments: Iterable[str]) -> dict[str, Path]:
    """Reads CHANNEL=DIR of each --data."""
    channels: dict[str, Path] = {}
    for text in arguments:
        name, equals, folder = text.partition("=")
        if not equals or not folder or not CHANNEL.fullmatch(name):
            raise LocalModeError(
                f"got --data {text!r}: write CHANNEL=DIR, for example train=data/train; "
                "a channel name has up to 64 letters, digits, dots, hyphens and underscores"
            )
        if name in channels:
            raise LocalModeError(f"channel {name!r} was given twice: a channel is one folder")
        channels[name] = Path(folder)
    return channels


def parse_hyperparameters(arguments: Iterable[str]) -> dict[str, str]:
    """Reads each --hyperparameters, a FILE.json or KEY=VALUE, a later one winning over an earlier one.

    Every value becomes a string, as in hyperparameters.json on SageMaker.
    """
    hyperparameters: dict[str, str] = {}
    for text in arguments:
        name, equals, value = text.partition("=")
        hyperparameters |= {name: value} if equals else _from_file(Path(text))
    return hyperparameters


def _from_file(file: Path) -> dict[str, str]:
    if not file.is_file():
        raise LocalModeError(
            f"got --hyperparameters {str(file)!r}: it is neither KEY=VALUE nor a JSON file that exists"
        )
    try:
        document = json.loads(file.read_text())
    except ValueError as error:
        raise LocalModeError(f"{str(file)!r} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise LocalModeError(f"{str(file)!r} holds a {type(document).__name__}: hyperparameters are one JSON object")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in document.items()}
