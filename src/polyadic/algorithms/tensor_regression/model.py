"""A trained tensor regression: samples in, numbers or classes out, in Linear Learner's form.

Shapes: B samples, C scores, R components.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.inputs import Modalities, options_of
from polyadic.algorithms.tensor_regression.labels import Labels
from polyadic.algorithms.tensor_regression.network import Network
from polyadic.algorithms.tensor_regression.schemas import schemas
from polyadic.algorithms.tensor_regression.scoring import Evaluation, mean_of, probabilities
from polyadic.algorithms.tensor_regression.solved import Solved
from polyadic.artifact import Artifact
from polyadic.errors import UserError, shorten, unknown
from polyadic.formats import UNSTATED, Rows
from polyadic.jobs.model import Schemas
from polyadic.regression.losses import named

NAME = "tensor-regression"
FEATURES = "features"
NETWORK = "network."


class Scorer(Protocol):
    """What gives scores: a weight that was solved for, or a network."""

    @property
    def intercept(self) -> Tensor:
        """What is added to the components of each score: C."""

    def scores(self, *inputs: Tensor) -> Tensor:
        """B x C, of the numbers of the modalities and of which of them a sample has."""

    def shares(self, *inputs: Tensor) -> Tensor | None:
        """What each component adds to each score, B x C x R; None where the scores are no sum over components."""


class Query(NamedTuple):
    """A sample: the cells of its modalities; and whether each component's share of its scores is asked for."""

    cells: tuple[Any, ...]
    explain: bool


@dataclass(kw_only=True)
class Model:
    """Scores of samples, and what they mean.

    unit: labels are centre + scale times the scores. history: the objective of each sweep, or the loss of each epoch in
    training and validation. evaluations: of the channels. standardised: the modalities as the solver had them. The last
    three, and intervals, are for the report alone.
    """

    settings: Hyperparameters
    labels: Labels
    modalities: Modalities
    scorer: Scorer
    unit: tuple[float, float]
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[tuple[float, float | None]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    intervals: tuple[Tensor, Tensor] | None = None
    standardised: Modalities | None = None
    most_weight: ClassVar[int] = 2**23

    def artifact(self) -> Artifact:
        """The tensors of the weight under their names, or those of the network; those of the encoders as `input.`."""
        scorer = self.scorer
        if isinstance(scorer, Solved):
            own = scorer.tensors()
        else:
            assert isinstance(scorer, Network)
            own = {f"{NETWORK}{name}": value for name, value in scorer.state_dict().items()}
        if self.intervals is not None:
            own |= dict(zip(("interval_low", "interval_high"), self.intervals, strict=True))
        return Artifact(
            algorithm=NAME,
            hyperparameters=self.settings.model_dump(),
            tensors={**own, **self.modalities.tensors()},
            metadata={
                **self.modalities.facts(),
                "classes": self.labels.classes,
                "unit": list(self.unit),
                "solver": "als" if isinstance(scorer, Solved) else "adam",
            },
            metrics=self.metrics,
        )

    @property
    def solver(self) -> str:
        """als or adam."""
        return "als" if isinstance(self.scorer, Solved) else "adam"

    def scores(self, *inputs: Tensor) -> Tensor:
        """B x C, float64, in the units of labels."""
        return self.unit[0] + self.unit[1] * self.scorer.scores(*inputs).double()

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """A sample by the names of its modalities; one that is alone may be called `features`, as in Linear Learner.

        Raises UserError for other names, for modalities that are missing and for values of another kind or shape.
        """
        explain = configuration.get("explain", False)
        other = next((key for key in configuration if key != "explain"), None)
        if other is not None:
            raise UserError(unknown("key of configuration", other, ["explain"]))
        if not isinstance(explain, bool):
            raise UserError(f"configuration.explain is {shorten(explain)}: it must be true or false")
        if explain and not self._explains:
            raise UserError(
                "configuration.explain is true, and this model's scores are no sum over components: those of weight=cp "
                "and fusion=lmf are"
            )
        values = instance
        if isinstance(values, dict) and set(values) == {"data"}:
            values = values["data"]
        if not isinstance(values, dict):
            names = ", ".join(modality.name for modality in self.modalities.each)
            raise UserError(f"the instance is {shorten(instance)}: give an object with {names}")
        name = self.modalities.each[0].name
        if len(self.modalities.each) == 1 and FEATURES in values and name not in values:
            values = {name if key == FEATURES else key: value for key, value in values.items()}
        return Query(self.modalities.parse(values), explain)

    @property
    def _explains(self) -> bool:
        if isinstance(self.scorer, Solved):
            return self.settings.weight == "cp"
        return self.settings.fusion == "lmf" if len(self.modalities.each) > 1 else self.settings.weight == "cp"

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """The score of each sample, and of classes the one that is likeliest."""
        if not instances:
            return []
        where = self.scorer.intercept.device
        taken = self.modalities.of_cells([query.cells for query in instances]).take(slice(None))
        inputs = [part.to(where) for part in taken]
        answers = self._answers(self.scores(*inputs).cpu())
        if any(query.explain for query in instances):
            shares = self.scorer.shares(*inputs)
            assert shares is not None
            shares_BCR = shares.double().cpu() * self.unit[1]
            intercept_C = self.unit[0] + self.unit[1] * self.scorer.intercept.detach().double().cpu()
            for answer, query, own in zip(answers, instances, shares_BCR, strict=True):
                if query.explain:
                    alone = len(own) == 1
                    answer["intercept"] = float(intercept_C[0]) if alone else intercept_C.tolist()
                    answer["components"] = own[0].tolist() if alone else own.tolist()
        return answers

    def _answers(self, score_BC: Tensor) -> list[dict[str, Any]]:
        classes = self.labels.classes
        if classes is None:
            told = mean_of(score_BC, named(self.settings.loss_name))
            return [{"score": score} for score in told[:, 0].tolist()]
        p_BK = probabilities(score_BC)
        best = p_BK.argmax(1).tolist()
        scores = p_BK[:, 1].tolist() if score_BC.shape[1] == 1 else p_BK.tolist()
        return [{"score": score, "predicted_label": classes[k]} for score, k in zip(scores, best, strict=True)]

    def example(self) -> object:
        """Zeros, the first known word, a black picture."""
        return {modality.name: modality.example() for modality in self.modalities.each}

    def weight(self, query: Query) -> int:
        """The numbers of the sample."""
        return 1 + sum(math.prod(modality.encoder.shape) for modality in self.modalities.each)

    def numbers(self, query: Query) -> int:
        """The scores and the label; with shares those of every component."""
        scores = max(1, len(self.labels.classes or ()))
        return scores + 1 + (scores * 64 if query.explain else 0)

    def schemas(self) -> Schemas:
        """The modalities by name, and Linear Learner's answers."""
        return schemas(self.modalities, self.labels, self.settings)

    def from_table(self, table: Any) -> list[Any]:
        """One sample per row, its numbers flat or in the shape of training.

        Raises UserError for a model of several modalities, or of texts.
        """
        modality = self.modalities.each[0]
        if len(self.modalities.each) > 1 or modality.kind == "text":
            names = ", ".join(each.name for each in self.modalities.each)
            raise UserError(f"a table holds one tensor in each row, and this model takes {names}: send JSON")
        if isinstance(table, list):
            return [{modality.name: row} for row in table]
        rows = table[None] if table.shape in (modality.shape, (math.prod(modality.shape),)) else table
        return [{modality.name: row.tolist()} for row in rows]

    def to_table(self, predictions: list[dict[str, Any]]) -> NDArray[np.float64]:
        """A row for each answer: its score, or the probability of each class."""
        rows = [np.atleast_1d(prediction["score"]) for prediction in predictions]
        return np.array(rows, np.float64)

    def from_records(self, rows: Rows) -> list[Any]:
        """One sample per record, dense or by its keys."""
        modality = self.modalities.each[0]
        if len(self.modalities.each) > 1 or modality.kind == "text":
            raise UserError("a record holds one tensor, and this model takes several modalities: send JSON")
        size = math.prod(modality.shape)
        instances = []
        for number, (keys, values, width) in enumerate(rows.each()):
            if (width not in (UNSTATED, size)) or (len(keys) and (keys.max() >= size or keys.min() < 0)):
                raise UserError(f"record {number + 1} has not the {size} numbers that this model takes")
            flat = np.zeros(size)
            np.add.at(flat, keys, values)
            instances.append({modality.name: flat.tolist()})
        return instances


def load(artifact: Artifact) -> Model:
    """The model that was written down, on a GPU where there is one."""
    settings = Hyperparameters(**artifact.hyperparameters)
    facts, device = artifact.metadata, "cuda" if torch.cuda.is_available() else "cpu"
    modalities = Modalities.read(facts, artifact.tensors, options_of(settings))
    classes = facts["classes"]
    labels = Labels(None if classes is None else tuple(classes))
    scorer: Scorer
    if facts["solver"] == "als":
        scorer = Solved.read(settings.weight, artifact.tensors, len(modalities.each)).to(device)
    else:
        network = Network(settings, modalities, labels.outputs(settings))
        own = {name: value for name, value in artifact.tensors.items() if name.startswith(NETWORK)}
        network.load_state_dict({name.removeprefix(NETWORK): value for name, value in own.items()})
        scorer = network.to(device).eval()
    return Model(
        settings=settings,
        labels=labels,
        modalities=modalities,
        scorer=scorer,
        unit=(facts["unit"][0], facts["unit"][1]),
        metrics=dict(artifact.metrics),
    )
