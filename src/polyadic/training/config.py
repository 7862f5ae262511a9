"""The files of /opt/ml/input/config -> typed values: what is absent has its usual value, what is wrong is named.

Dataclasses and not pydantic: PID 1 reads them before it starts the worker, and pydantic takes twice as long to import
as all of the launcher.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyadic.errors import UserError, shorten

MODES = ("File", "FastFile", "Pipe")
CHANNEL_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}")
"""As SageMaker's API has it, but without the names of folders."""


@dataclass(frozen=True)
class ChannelConfig:
    """A channel as inputdataconfig.json has it."""

    mode: str = "File"
    distribution: str = "FullyReplicated"
    content_type: str | None = None


@dataclass(frozen=True)
class Resources:
    """Who takes part, as resourceconfig.json has it: the hosts in their order, and which of them this is."""

    hosts: tuple[str, ...] = ("algo-1",)
    current_host: str = "algo-1"
    network_interface: str | None = None


def read_hyperparameters(config: Path) -> dict[str, object]:
    """hyperparameters.json; UserError where it is no JSON object."""
    return _object(config / "hyperparameters.json")


def read_resources(config: Path) -> Resources:
    """resourceconfig.json; UserError for hosts that are no names, and for a current host that is not among them."""
    path = config / "resourceconfig.json"
    given = _object(path)
    named = given.get("hosts")
    if not (named is None or isinstance(named, list)):
        raise UserError(f'{path.name}: hosts is {shorten(named)}: it must be a list such as ["algo-1", "algo-2"]')
    for place, host in enumerate(named or []):
        if not _is_text(host) or not host:
            raise UserError(f"{path.name}: hosts[{place}] is {shorten(host)}: it must be the name of a host")
    current = _text(path, given, "current_host")
    hosts = tuple(sorted(set(named or [current or "algo-1"])))
    current = current or hosts[0]
    if current not in hosts:
        raise UserError(f"{path.name} names {current!r} as current_host, which is not among hosts {list(hosts)}")
    return Resources(hosts, current, _text(path, given, "network_interface_name"))


def read_channels(config: Path) -> dict[str, ChannelConfig]:
    """inputdataconfig.json; UserError for names that SageMaker does not allow and for what describes no channel."""
    path = config / "inputdataconfig.json"
    return {name: _channel(path, name, value) for name, value in _object(path).items()}


def read_tensorboard_path(config: Path) -> str | None:
    """The LocalPath of tensorboardoutputconfig.json; None where it has none, whatever else it holds."""
    try:
        path = config / "tensorboardoutputconfig.json"
        return _text(path, _object(path), "LocalPath")
    except UserError:  # SageMaker's own file, and curves are no reason to refuse a job.
        return None


def _channel(path: Path, name: str, value: object) -> ChannelConfig:
    if not CHANNEL_NAME.fullmatch(name):
        raise UserError(
            f"{path.name}: {shorten(name)} is no name of a channel: give letters, digits, '.', '-' and '_', 64 at most"
        )
    if not isinstance(value, dict):
        raise UserError(
            f'{path.name}: {name} is {shorten(value)}: it must be an object such as {{"TrainingInputMode": "File"}}'
        )
    mode = _text(path, value, "TrainingInputMode", name) or "File"
    if mode not in MODES:
        raise UserError(f"{path.name}: {name}.TrainingInputMode is {shorten(mode)}: it must be {', '.join(MODES)}")
    return ChannelConfig(
        mode=mode,
        distribution=_text(path, value, "S3DistributionType", name) or "FullyReplicated",
        content_type=_text(path, value, "ContentType", name),
    )


def _text(path: Path, given: Mapping[str, Any], key: str, within: str = "") -> str | None:
    """A text that may be absent, null or empty; UserError for what is none."""
    value = given.get(key)
    if value is None or value == "":
        return None
    if not _is_text(value):
        place = f"{within}.{key}" if within else key
        raise UserError(f"{path.name}: {place} is {shorten(value)}: it must be a text")
    return str(value)


def _is_text(value: object) -> bool:
    """Whether a value is a text that a process can be given: no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _object(path: Path) -> dict[str, Any]:
    """The JSON object of a file, empty where there is no file; UserError where it holds something else."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.name} is not JSON ({error}): it must hold one JSON object") from None
    if not isinstance(value, dict):
        raise UserError(f"{path.name} holds a {type(value).__name__}: it must hold one JSON object")
    return value
