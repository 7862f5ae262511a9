"""A metric: what an algorithm declares of it, and the place where its values are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Metric:
    """A metric that an algorithm prints: the name in its line, such as `test RMSE`, and its unit."""

    name: str
    unit: str = "loss"
    minimize: bool = True
    objective: bool = False
    about: str = field(default="", compare=False)

    @property
    def definition(self) -> dict[str, str]:
        """SageMaker's MetricDefinition."""
        regex = rf"#quality_metric: host=\S+, (?:\w+=\d+, )*{self.name} <{self.unit}>=(\S+)"
        return {"Name": self.name.replace(" ", ":", 1), "Regex": regex}


class Scalars(Protocol):
    """A place where the values of metrics are kept to be drawn as curves."""

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        """Keeps a metric's value at the step that `where` names first; a fault of the place never ends the job."""


class NoScalars:
    """The place of a job whose curves nobody draws: it keeps nothing."""

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        """Keeps nothing."""
