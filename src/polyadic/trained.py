"""A model that a job has left, in Python: its tensors, what was measured, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from polyadic import algorithms
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.formats import FORMATS, Form
from polyadic.jobs.describe import describe
from polyadic.jobs.model import Model, Tabular
from polyadic.serving.instances import arrange, parse_all, read_instances, spoken_formats


@dataclass(frozen=True, eq=False, repr=False)
class Trained:
    """A model that answers as an endpoint would, and shows what it is made of; `polyadic.load` makes one."""

    artifact: Artifact
    model: Model
    description: str

    def __repr__(self) -> str:
        return self.description

    @property
    def algorithm(self) -> str:
        """The algorithm that made it."""
        return self.artifact.algorithm

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Those of the job, defaults among them."""
        return self.artifact.hyperparameters

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """What was learned: `weights` and `factor_0`, ... of cp; `beta` and `alpha` of lda; and so on."""
        return self.artifact.tensors

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured, by its name."""
        return self.artifact.metrics

    def predict(self, instances: Any, **configuration: Any) -> list[dict[str, Any]]:
        """One answer for each instance, as docs/serving.md has them.

        instances: a list, or for a decomposition and for lda also an array with one instance a row. configuration: what
        a request may set for all of its instances, such as num_samples=100 of a forecaster.
        Raises UserError for an instance that is not valid.
        """
        if hasattr(instances, "tolist") and isinstance(self.model, Tabular):
            instances = self.model.from_table(instances)
        if isinstance(instances, str | bytes | Mapping) or not isinstance(instances, Sequence):
            raise UserError(f"instances are of the type {type(instances).__name__}: give a list, one item an instance")
        return self.model.predict(parse_all(self.model, instances, configuration)) if instances else []

    def answer(self, body: bytes, name: str, wanted: str) -> bytes:
        """The answer to the instances that are the content of a file of this name, written in the format `wanted`.

        Raises UserError for a format that the model does not speak, a broken file, and an instance that is not valid.
        """
        spoken = {each.name: each for each in spoken_formats(self.model)}
        if wanted not in spoken:
            raise UserError(f"the answer cannot be written as {wanted}: choose one of {', '.join(spoken)}")
        asked = next((each for each in spoken.values() if each.has_file(name)), None) or next(
            (each for each in spoken.values() if each.begins is not None and each.begins(body[:4096])), None
        )
        if asked is None or asked.form is Form.LINES:
            asked = spoken["json" if _is_document(body) else "jsonlines"]
        instances, configuration = read_instances(self.model, asked, body, {})
        predictions = self.model.predict(parse_all(self.model, instances, configuration))
        return spoken[wanted].encode(arrange(spoken[wanted], predictions, self.model))


def _is_document(body: bytes) -> bool:
    """Whether a file of JSON is the body of a request, {"instances": [...]}, and not one instance a line."""
    try:
        value = FORMATS["json"].decode(body)
    except UserError:
        return False
    return isinstance(value, dict) and "instances" in value


def load(model: str | Path) -> Trained:
    """The model of a model.tar.gz, or of a folder that holds one or its files.

    Raises UserError for what is no model.
    """
    artifact = Artifact.read(model)
    return Trained(artifact, algorithms.named(artifact.algorithm).load(artifact), describe(model))
