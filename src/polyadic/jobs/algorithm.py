"""What the package of an algorithm declares."""

from __future__ import annotations

from typing import Any, Protocol

from polyadic.artifact import Artifact
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import ChannelSpec, Job, Metric, Model


class Algorithm(Protocol):
    """What the package of an algorithm declares."""

    NAME: str
    SUMMARY: str
    CHANNELS: tuple[ChannelSpec, ...]
    METRICS: tuple[Metric, ...]
    Hyperparameters: type[Hyperparameters]

    def fit(self, job: Job[Any]) -> Model:
        """Trains on this rank's share of the data."""

    def load(self, artifact: Artifact) -> Model:
        """The model that was written down."""
