"""A decomposition as a model: named tensors in the artifact, entries, slices, rankings and embeddings as answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms import _queries as queries
from polyadic.algorithms._indices import Mode, Modes
from polyadic.algorithms._queries import Entries, FoldIn, Query, Question, Slice, Top
from polyadic.artifact import Artifact
from polyadic.errors import UserError

FINAL_ERROR = "train:final_relative_error"
AT_ONCE = 2**16
"""Entries evaluated together: each takes a row of the rank's length."""

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
        return queries.parse(instance, self.modes)

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
        entries = iter(_entries(self.tensor, [one for one in instances if isinstance(one, Entries)], self._device))
        embeddings = iter(self._embed([one for one in instances if isinstance(one, FoldIn)]))
        answers = []
        for query in instances:
            if isinstance(query, Entries):
                answers.append(next(entries))
            elif isinstance(query, FoldIn):
                answers.append(self._tell(query, *next(embeddings)))
            else:
                answers.append(_look(self.tensor, query))
        return answers

    def replace(self, mode: int, rows: Tensor) -> LowRank:
        """The tensor whose `mode` has B other rows, given as embeddings (B x R)."""
        name, parameters = self._parameters(mode)
        if parameters.ndim == 3:
            rows = rows.reshape(len(rows), parameters.shape[0], parameters.shape[2]).movedim(0, 1)
        return self.build({**self.tensors, name: rows.contiguous()}, self.relative_error)

    @property
    def _device(self) -> torch.device:
        return next(iter(self.tensors.values())).device

    def _parameters(self, mode: int) -> tuple[str, Tensor]:
        """The tensor that holds a mode's rows: its factor I x R, or its core r x I x r'."""
        name = f"factor_{mode}" if f"factor_{mode}" in self.tensors else f"core_{mode}"
        return name, self.tensors[name]

    def _embed(self, slabs: Sequence[FoldIn]) -> list[tuple[Tensor, float]]:
        """Embedding and relative residual of each slab; the whole slabs of a mode go together."""
        found: list[tuple[Tensor, float]] = [(torch.empty(0), 0.0)] * len(slabs)
        for mode in {one.mode for one in slabs}:
            whole = [n for n, one in enumerate(slabs) if one.mode == mode and one.index is None]
            if whole:
                stacked = self._tensor(np.stack([slabs[n].values for n in whole]))
                for n, embedding, residual in zip(whole, *self.tensor.embed(mode, stacked), strict=True):
                    found[n] = embedding, residual.item()
        for n, one in enumerate(slabs):
            if one.index is not None:
                found[n] = self._embed_zeros(one) if one.zeros else self._embed_entries(one)
        return found

    def _embed_zeros(self, slab: FoldIn) -> tuple[Tensor, float]:
        shape = [mode.rows for mode in self.modes if mode.number != slab.mode]
        values = np.zeros(shape)
        values[tuple((slab.index if slab.index is not None else np.empty((0, len(shape)))).T)] = slab.values
        embedding, residual = self.tensor.embed(slab.mode, self._tensor(values[None]))
        return embedding[0], residual.item()

    def _embed_entries(self, slab: FoldIn) -> tuple[Tensor, float]:
        """Least squares over the given entries: each is linear in the embedding, and the tensor whose rows are the
        unit embeddings says how."""
        assert slab.index is not None
        parameters = self._parameters(slab.mode)[1]
        width = parameters.shape[1] if parameters.ndim == 2 else parameters.shape[0] * parameters.shape[2]
        eye = torch.eye(width, dtype=parameters.dtype, device=self._device)
        others = np.repeat(slab.index, width, axis=0)
        index = np.insert(others, slab.mode, np.tile(np.arange(width), len(slab.index)), axis=1)
        rows = _at(self.replace(slab.mode, eye), index, self._device).reshape(-1, width).double().cpu()
        values = torch.from_numpy(slab.values)
        # gelsd takes what is rank-deficient too, and the least of its solutions; CUDA has no such driver.
        embedding = torch.linalg.lstsq(rows, values[:, None], driver="gelsd").solution[:, 0]
        norm, rest = values.norm().item(), (values - rows @ embedding).norm().item()
        return embedding.to(parameters), rest / norm if norm else 0.0

    def _tell(self, query: FoldIn, embedding: Tensor, residual: float) -> dict[str, Any]:
        """The embedding and, where something was asked of the new slab, the answer."""
        answer: dict[str, Any] = {"embedding": embedding.cpu().numpy(), "residual": residual}
        if query.question is None:
            return answer
        alone, question = self.replace(query.mode, embedding[None]), _at_row_0(query.question, query.mode)
        if isinstance(question, Entries):
            return answer | _entries(alone, [question], self._device)[0]
        return answer | _look(alone, question)

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        """Numbers of a request in the model's precision and place."""
        like = next(iter(self.tensors.values()))
        return torch.from_numpy(values).to(like)


def _at(tensor: LowRank, index: NDArray[np.int64], device: torch.device) -> Tensor:
    rows = torch.from_numpy(index).to(device)
    return torch.cat([tensor.at(part) for part in torch.split(rows, AT_ONCE)])


def _entries(tensor: LowRank, asked: Sequence[Entries], device: torch.device) -> list[dict[str, Any]]:
    if not asked:
        return []
    values = _at(tensor, np.concatenate([one.index for one in asked]), device).cpu()
    parts = torch.split(values, [len(one.index) for one in asked])
    pairs = zip(asked, parts, strict=True)
    return [{"value": part.item()} if one.single else {"values": part.numpy()} for one, part in pairs]


def _look(tensor: LowRank, query: Slice | Top) -> dict[str, Any]:
    values = tensor.slice(query.index)
    if isinstance(query, Slice):
        return {"value": values.cpu().numpy()}
    allowed = torch.ones(len(values), dtype=torch.bool, device=values.device)
    allowed[list(query.exclude)] = False
    rows = allowed.nonzero()[:, 0]
    best = values[rows].topk(min(query.size, len(rows)), largest=not query.smallest)
    sign = 1 if query.smallest else -1
    ranked = sorted(zip((sign * best.values).tolist(), rows[best.indices].tolist(), strict=True))
    return {"top": [_ranked(query.mode, row, sign * value) for value, row in ranked]}


def _ranked(mode: Mode, row: int, value: float) -> dict[str, Any]:
    label = {} if mode.labels is None else {"label": mode.labels[row]}
    return {"index": row, **label, "value": value}


def _at_row_0(question: Question, mode: int) -> Question:
    """The question about a slab, put to the tensor that has the slab as the only row of `mode`."""
    if isinstance(question, Entries):
        return Entries(np.insert(question.index, mode, 0, axis=1), question.single)
    index = (*question.index[:mode], 0, *question.index[mode:])
    if isinstance(question, Slice):
        return Slice(index, question.size)
    return Top(index, question.size, question.mode, question.exclude, question.smallest)
