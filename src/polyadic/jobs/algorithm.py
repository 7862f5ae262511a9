"""What the package of an algorithm declares: all that training, serving, documents and tests need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyadic.artifact import Artifact
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.jobs.metrics import Metric
from polyadic.jobs.model import Model


@dataclass(frozen=True, kw_only=True)
class TinyJob:
    """A job of a few kilobytes that trains in a second: documents show it, and the contract tests run it.

    hyperparameters: as a job writes them. channels: for each channel the bytes of its files by their names.
    instances: two or more that the trained model answers. steps: the hyperparameter that bounds the number of steps,
    None where the algorithm has none.
    """

    hyperparameters: Mapping[str, str]
    channels: Callable[[], Mapping[str, Mapping[str, bytes]]]
    instances: Sequence[Any]
    steps: str | None


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """An algorithm.

    name: what the hyperparameter `algorithm` calls it; the package has the same name with underscores for dashes.
    reads, answers: what goes in and what comes out, in a few words for tables. fit: trains on this rank's share of
    the data. load: the model that was written down. report: writes pages and figures of a model into a folder;
    None where there is nothing to show. guessed: whether a job that names no algorithm may mean this one; such an
    algorithm requires hyperparameters that no other guessed one requires.
    """

    name: str
    summary: str
    reads: str
    answers: str
    hyperparameters: type[Hyperparameters]
    channels: tuple[ChannelSpec, ...]
    metrics: tuple[Metric, ...]
    fit: Callable[[Job[Any]], Model]
    load: Callable[[Artifact], Model]
    report: Callable[[Path, Any], None] | None
    tiny_job: TinyJob
    guessed: bool = False

    @property
    def required(self) -> list[str]:
        """The names of the hyperparameters that have no default."""
        return [name for name, field in self.hyperparameters.model_fields.items() if field.is_required()]
