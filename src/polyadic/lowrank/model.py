"""A decomposition as a model: named tensors in the artifact, entries, slices, rankings and embeddings as answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.lowrank import answers, queries
from polyadic.lowrank.indices import Mode, Modes
from polyadic.lowrank.queries import Entries, Entry, FoldIn, Query

FINAL_ERROR = "train:final_relative_error"
Labels: TypeAlias = Sequence[Sequence[str] | None]


class LowRank(Protocol):
    """A tensor in few numbers: CPTensor, TuckerTensor and TensorTrain are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows a mode."""

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, counted from 0): B."""

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries whose index agrees where it is not None: the None modes, in their order."""

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that B new slabs (B x the other modes, NaN where not observed) would have in `mode`, by least
        squares, and the relative residual of each: B x R, B."""


Build: TypeAlias = Callable[[Mapping[str, Tensor], float], LowRank]


def numbered(prefix: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors by the names factor_0, factor_1, ..."""
    return {f"{prefix}_{mode}": tensor for mode, tensor in enumerate(tensors)}


def in_order(prefix: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The tensors that `numbered` has named."""
    count = sum(name.startswith(f"{prefix}_") for name in tensors)
    return [tensors[f"{prefix}_{mode}"] for mode in range(count)]


@dataclass(frozen=True)
class DecompositionModel:
    """A decomposed tensor that answers with entries, slices, rankings and embeddings.

    tensors: what the artifact holds: `weights` and `factor_0`.. for CP, `core` and `factor_0`.. for Tucker,
    `core_0`.. (r x I x r') for a tensor train. build(tensors, relative_error): the tensor that they are.
    labels: names of the rows, a tuple a mode or None; () where no mode has any.
    history: the relative error after each sweep, and seconds: of the whole fit; both for the report alone.
    metrics: what was measured beside the final relative error.
    """

    name: str
    tensors: Mapping[str, Tensor]
    build: Build
    relative_error: float
    hyperparameters: Mapping[str, Any]
    labels: Labels = ()
    history: Sequence[float] = ()
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def load(artifact: Artifact, build: Build) -> DecompositionModel:
        """The model that was written down, on the GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return DecompositionModel(
            artifact.algorithm,
            {name: tensor.to(device) for name, tensor in artifact.tensors.items()},
            build,
            artifact.metrics[FINAL_ERROR],
            artifact.hyperparameters,
            artifact.facts.get("labels", ()),
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
        labels = self.labels or [None] * len(shape)
        pairs = enumerate(zip(shape, labels, strict=True))
        return tuple(Mode(n, rows, None if names is None else tuple(names)) for n, (rows, names) in pairs)

    def artifact(self) -> Artifact:
        """The tensors under their names, and the labels as a fact."""
        return Artifact(
            algorithm=self.name,
            hyperparameters=self.hyperparameters,
            tensors=self.tensors,
            facts={"labels": self.labels} if any(names is not None for names in self.labels) else {},
            metrics={**self.metrics, FINAL_ERROR: self.relative_error},
        )

    def example(self) -> object:
        """The first entry."""
        return {"index": [0] * len(self.modes)}

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Query:
        """A question about entries, a slice, the best rows of a mode, or a new slab."""
        return queries.parse(instance, self.modes, self._largest)

    def predict(self, instances: list[Query]) -> list[dict[str, Any]]:
        """An answer a question; all entries of all instances are evaluated together.

        Raises UserError where the slices of the instances are too large together.
        """
        size = sum(query.size for query in instances)
        if size > queries.LARGEST_ANSWER:
            raise UserError(
                f"the instances of this request ask for slices of {size:,} entries: at most "
                f"{queries.LARGEST_ANSWER:,} are answered. Send fewer instances a request"
            )
        entries = [one for one in instances if isinstance(one, (Entry, Entries))]
        values = answers.entries(self.tensor, entries, self._device)
        embeddings = iter(self._embed([one for one in instances if isinstance(one, FoldIn)]))
        found = []
        for query in instances:
            if isinstance(query, (Entry, Entries)):
                found.append(next(values))
            elif isinstance(query, FoldIn):
                found.append(self._tell(query, *next(embeddings)))
            else:
                found.append(answers.look(self.tensor, query))
        return found

    def from_table(self, table: Any) -> list[Any]:
        """Instances from indices: one a row of a list, or a single one of all the rows of an array.

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
        """Values as rows of numbers; UserError for rankings and embeddings."""
        return answers.table(predictions)

    def replace(self, mode: int, rows: Tensor) -> LowRank:
        """The tensor whose `mode` has B other rows, given as embeddings (B x R)."""
        old = self.parameters(mode)
        if old.ndim == 3:
            rows = rows.reshape(len(rows), old.shape[0], old.shape[2]).movedim(0, 1)
        return self.build({**self.tensors, self._name(mode): rows.to(old).contiguous()}, self.relative_error)

    def parameters(self, mode: int) -> Tensor:
        """The tensor that holds a mode's rows: its factor I x R, or its core r x I x r'."""
        return self.tensors[self._name(mode)]

    def report(self, folder: Path) -> None:
        """Writes the tensors as .npy, pictures of them, and a page."""
        from polyadic.reports import decomposition as _report

        _report.write_report(folder, self)

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
        found: dict[int, tuple[Tensor, float]] = {}
        for mode in {one.mode for one in slabs}:
            numbers = [n for n, one in enumerate(slabs) if one.mode == mode and one.index is None]
            if numbers:
                solved = self._solve(mode, np.stack([slabs[n].values for n in numbers]))
                found |= dict(zip(numbers, solved, strict=True))
        for n, one in enumerate(slabs):
            if one.index is not None and one.zeros:
                found |= {n: self._solve(one.mode, self._among_zeros(one.mode, one.index, one.values))[0]}
            elif one.index is not None:
                found |= {n: self._solve_entries(one.mode, one.index, one.values)}
        return [found[n] for n in range(len(slabs))]

    def _solve(self, mode: int, slabs: NDArray[np.float64]) -> list[tuple[Tensor, float]]:
        embeddings, residuals = self.tensor.embed(mode, torch.from_numpy(slabs).to(self._device))
        return list(zip(embeddings, residuals.tolist(), strict=True))

    def _among_zeros(self, mode: int, index: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        slab = np.zeros([one.rows for one in self.modes if one.number != mode])
        slab[tuple(index.T)] = values
        return slab[None]

    def _solve_entries(self, mode: int, index: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[Tensor, float]:
        """Least squares over single entries: each is linear in the embedding, and the tensor whose rows are the unit
        embeddings says how."""
        like = self.parameters(mode)
        width = like.shape[1] if like.ndim == 2 else like.shape[0] * like.shape[2]
        basis = self.replace(mode, torch.eye(width, dtype=like.dtype, device=like.device))
        spread = np.insert(np.repeat(index, width, axis=0), mode, np.tile(np.arange(width), len(index)), axis=1)
        rows = answers.evaluate(basis, spread, self._device).reshape(-1, width).double().cpu()
        wanted = torch.from_numpy(values)
        # gelsd takes what is rank-deficient too, and the least of its solutions; CUDA has no such driver.
        embedding = torch.linalg.lstsq(rows, wanted[:, None], driver="gelsd").solution[:, 0]
        norm, rest = wanted.norm().item(), (wanted - rows @ embedding).norm().item()
        return embedding, rest / norm if norm else 0.0

    def _tell(self, query: FoldIn, embedding: Tensor, residual: float) -> dict[str, Any]:
        """The embedding and, where something was asked of the new slab, the answer."""
        answer: dict[str, Any] = {"embedding": embedding.cpu().numpy(), "residual": residual}
        if query.question is None:
            return answer
        alone, question = self.replace(query.mode, embedding[None]), answers.about_row_0(query.question, query.mode)
        if isinstance(question, (Entry, Entries)):
            return answer | next(answers.entries(alone, [question], self._device))
        return answer | answers.look(alone, question)
