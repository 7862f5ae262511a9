"""A decomposition as a model: named tensors in the artifact, entries, slices, rankings and embeddings as answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.jobs.model import Schemas
from polyadic.lowrank.answers import about_row_0, answer, answer_entries, as_table, evaluate
from polyadic.lowrank.fold_in import FoldIn
from polyadic.lowrank.indices import Mode, Modes
from polyadic.lowrank.queries import Query, parse_entries, parse_query
from polyadic.lowrank.questions import LARGEST_ANSWER_ENTRIES, Entries, Entry, Question, Top
from polyadic.lowrank.schemas import schemas
from polyadic.tensor.low_rank import LowRank

FINAL_ERROR = "train:final_relative_error"
Labels: TypeAlias = Sequence[Sequence[str] | None]
"""For each mode the names of its rows, or None; empty where no mode has names."""
Build: TypeAlias = Callable[[Mapping[str, Tensor], float], LowRank]
"""The named tensors of an artifact and the relative error of the fit -> the tensor that they stand for."""


@dataclass(frozen=True, kw_only=True)
class DecompositionModel:
    """A decomposed tensor (I_1 x ... x I_N) that answers with entries, slices, rankings and embeddings.

    tensors: those of the artifact: `weights` (R) and `factor_0`, ... (I x R) for CP; `core` (R_1 x ... x R_N) and
    `factor_0`, ... (I_n x R_n) for Tucker; `core_0`, ... (r x I x r') for a tensor train. names: of the modes, as the
    columns of a table are called; empty where none are known. history: the relative error
    after each sweep, and seconds: the time of the whole fit; both are for the report alone. metrics: what was measured
    beside the final relative error.
    """

    algorithm: str
    tensors: Mapping[str, Tensor]
    build: Build
    relative_error: float
    hyperparameters: Mapping[str, Any]
    labels: Labels = ()
    names: Sequence[str] = ()
    history: Sequence[float] = ()
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    most_weight: ClassVar[int] = LARGEST_ANSWER_ENTRIES

    @staticmethod
    def load(artifact: Artifact, build: Build) -> DecompositionModel:
        """The model that was written down, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return DecompositionModel(
            algorithm=artifact.algorithm,
            tensors={name: tensor.to(device) for name, tensor in artifact.tensors.items()},
            build=build,
            relative_error=artifact.metrics[FINAL_ERROR],
            hyperparameters=artifact.hyperparameters,
            labels=artifact.metadata.get("labels", ()),
            names=artifact.metadata.get("modes", ()),
            metrics=artifact.metrics,
        )

    @cached_property
    def tensor(self) -> LowRank:
        """The tensor itself."""
        return self.build(self.tensors, self.relative_error)

    @cached_property
    def modes(self) -> Modes:
        """Rows and labels of each mode."""
        shape = self.tensor.shape
        nothing = [None] * len(shape)
        each = enumerate(zip(shape, self.labels or nothing, self.names or nothing, strict=True))
        return tuple(Mode(n, rows, None if words is None else tuple(words), name) for n, (rows, words, name) in each)

    def artifact(self) -> Artifact:
        """The tensors under their names, with the labels of the rows as metadata."""
        return Artifact(
            algorithm=self.algorithm,
            hyperparameters=self.hyperparameters,
            tensors=self.tensors,
            metadata=({"labels": self.labels} if any(words is not None for words in self.labels) else {})
            | ({"modes": self.names} if self.names else {}),
            metrics={**self.metrics, FINAL_ERROR: self.relative_error},
        )

    def example(self) -> object:
        """The instance that asks for the first entry."""
        return {"index": [mode.labels[0] if mode.labels else 0 for mode in self.modes]}

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """The query of an instance: entries, a slice, the best rows of a mode, or a new slab.

        Raises UserError for an instance that is not valid.
        """
        return parse_query(instance, self.modes, self._largest)

    def parse_together(self, instances: Sequence[object], configuration: Mapping[str, Any]) -> list[Query] | None:
        """The queries of single entries by number, in a quarter of the time that each alone takes; None for others."""
        return parse_entries(instances, self.modes)

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """One answer per query; all entries of all queries are evaluated together.

        Raises UserError where the slices of the queries are too large together.
        """
        size = sum(query.size for query in instances)
        if size > LARGEST_ANSWER_ENTRIES:
            raise UserError(
                f"the instances of this request ask for slices of {size:,} entries: at most "
                f"{LARGEST_ANSWER_ENTRIES:,} are answered. Send fewer instances per request"
            )
        entry_queries = [query for query in instances if isinstance(query, (Entry, Entries))]
        entry_answers = answer_entries(self.tensor, entry_queries, self._device)
        embeddings = iter(self._embed([query for query in instances if isinstance(query, FoldIn)]))
        answers = []
        for query in instances:
            if isinstance(query, (Entry, Entries)):
                answers.append(next(entry_answers))
            elif isinstance(query, FoldIn):
                answers.append(self._answer_fold_in(query, *next(embeddings)))
            else:
                answers.append(answer(self.tensor, query))
        return answers

    def weight(self, query: Query) -> int:
        """The entries that are evaluated or solved for."""
        if type(query) is Entry:
            return 1
        if not isinstance(query, FoldIn):
            return _entries(query)
        others = math.prod(mode.rows for mode in self.modes if mode.number != query.mode) if query.zeros else 0
        return max(others, query.values.size) + (_entries(query.question) if query.question else 0)

    def numbers(self, query: Query) -> int:
        """The values of an answer, and those of an embedding."""
        if type(query) is Entry:
            return 1
        if not isinstance(query, FoldIn):
            return query.size or _entries(query)
        return self.parameters(query.mode).numel() // self.modes[query.mode].rows + (
            query.question.size or _entries(query.question) if query.question else 0
        )

    def schemas(self) -> Schemas:
        """Those of the modes of this tensor."""
        return schemas(self.modes)

    def from_table(self, table: Any) -> list[Any]:
        """The instances of indices: one instance per row of a list, or a single instance for all rows of an array.

        A cell of a mode that has labels is a label, whatever it looks like: in text 7 and "7" are the same.
        """
        if isinstance(table, np.ndarray):
            return [{"indices": table}]
        labelled = [mode.number for mode in self.modes if mode.labels is not None and mode.number < len(table[0])]
        instances = [list(row) for row in table]
        for row in instances:
            for column in labelled:
                row[column] = str(row[column])
        return instances

    def to_table(self, predictions: list[dict[str, Any]]) -> NDArray[Any] | list[list[float]]:
        """The values as rows of numbers: B x K, or a list where the rows differ in length.

        Raises UserError for rankings and embeddings.
        """
        return as_table(predictions)

    def replace(self, mode: int, rows: Tensor) -> LowRank:
        """The tensor whose `mode` has B other rows, given as embeddings (B x R)."""
        old = self.parameters(mode)
        if old.ndim == 3:
            rows = rows.reshape(len(rows), old.shape[0], old.shape[2]).movedim(0, 1)
        return self.build({**self.tensors, self._name(mode): rows.to(old).contiguous()}, self.relative_error)

    def parameters(self, mode: int) -> Tensor:
        """The tensor that holds a mode's rows: its factor I x R, or its core r x I x r'."""
        return self.tensors[self._name(mode)]

    def _name(self, mode: int) -> str:
        return f"factor_{mode}" if f"factor_{mode}" in self.tensors else f"core_{mode}"

    @cached_property
    def _largest(self) -> float:
        return torch.finfo(self.parameters(0).dtype).max

    @property
    def _device(self) -> torch.device:
        return self.parameters(0).device

    def _embed(self, slabs: Sequence[FoldIn]) -> list[tuple[Tensor, float]]:
        """Embedding and relative residual of each slab; those of a mode that came whole are solved together."""
        solutions: dict[int, tuple[Tensor, float]] = {}
        for mode in {slab.mode for slab in slabs}:
            whole = [number for number, slab in enumerate(slabs) if slab.mode == mode and slab.index is None]
            if whole:
                solved = self._solve(mode, np.stack([slabs[number].values for number in whole]))
                solutions |= dict(zip(whole, solved, strict=True))
        for number, slab in enumerate(slabs):
            if slab.index is not None and slab.zeros:
                solutions[number] = self._solve(slab.mode, self._among_zeros(slab.mode, slab.index, slab.values))[0]
            elif slab.index is not None:
                solutions[number] = self._solve_entries(slab.mode, slab.index, slab.values)
        return [solutions[number] for number in range(len(slabs))]

    def _solve(self, mode: int, slabs: NDArray[np.float64]) -> list[tuple[Tensor, float]]:
        embeddings, residuals = self.tensor.embed(mode, torch.from_numpy(slabs).to(self._device))
        return list(zip(embeddings, residuals.tolist(), strict=True))

    def _among_zeros(self, mode: int, index: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        slab = np.zeros([other.rows for other in self.modes if other.number != mode])
        slab[tuple(index.T)] = values
        return slab[None]

    def _solve_entries(self, mode: int, index: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[Tensor, float]:
        """Embedding and relative residual by least squares over single entries (B x (N - 1)), without forming the slab.

        An entry is a linear function of the embedding. Its coefficients are the entries of the tensor in which the
        rows of the mode are the unit vectors.
        """
        parameters = self.parameters(mode)
        width = parameters.shape[1] if parameters.ndim == 2 else parameters.shape[0] * parameters.shape[2]
        unit_rows = self.replace(mode, torch.eye(width, dtype=parameters.dtype, device=parameters.device))
        repeated = np.repeat(index, width, axis=0)
        whole_index = np.insert(repeated, mode, np.tile(np.arange(width), len(index)), axis=1)
        coefficients = evaluate(unit_rows, whole_index, self._device).reshape(-1, width).double().cpu()
        wanted = torch.from_numpy(values)
        # gelsd solves rank-deficient systems too, by the smallest solution; CUDA has no such driver.
        embedding = torch.linalg.lstsq(coefficients, wanted[:, None], driver="gelsd").solution[:, 0]
        norm, residual = wanted.norm().item(), (wanted - coefficients @ embedding).norm().item()
        return embedding, residual / norm if norm else 0.0

    def _answer_fold_in(self, query: FoldIn, embedding: Tensor, residual: float) -> dict[str, Any]:
        """The embedding and, where something was asked of the new slab, the answer."""
        described: dict[str, Any] = {"embedding": embedding.cpu().numpy(), "residual": residual}
        if query.question is None:
            return described
        new_row, question = self.replace(query.mode, embedding[None]), about_row_0(query.question, query.mode)
        if isinstance(question, (Entry, Entries)):
            return described | next(answer_entries(new_row, [question], self._device))
        return described | answer(new_row, question)


def _entries(question: Question) -> int:
    """The entries that a question looks at."""
    if isinstance(question, Top):
        return question.mode.rows
    return len(question.index) if isinstance(question, Entries) else max(1, question.size)
