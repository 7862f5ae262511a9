"""tensor-train: a chain of small cores, of given ranks or within a relative error; completion of missing entries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.decomposition.train.completion import Progress, complete_tensor_train
from polyadic.decomposition.train.cross import SAMPLES, tensor_cross
from polyadic.decomposition.train.entries import landmarks, lookup, observed, summed, true_error
from polyadic.decomposition.train.svd import tensor_train
from polyadic.errors import UserError
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs import progress as _progress
from polyadic.jobs.job import ChannelSpec, Job, Metric
from polyadic.lowrank.model import DecompositionModel, in_order, numbered
from polyadic.options import option
from polyadic.readers.tensor import content_types, read_tensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.densify import dense
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain

NAME = "tensor-train"
SUMMARY = "tensor train of a tensor: TT-SVD by ranks or by tolerance, TT-cross, completion of missing entries"
CHANNELS = (
    ChannelSpec("train", "a tensor: dense or sparse, in one file or several, or a folder of pictures", content_types()),
)
METRICS = (
    Metric("train relative_error", about="|X - Y| / |X|, of completion over the observed entries, of cross over some"),
    Metric("train seconds_per_sweep", unit="seconds"),
    Metric("train final_relative_error", objective=True, about="of the model that is kept"),
)
MOST_RANK = 100
"""Of cross where max_rank is empty."""


class Hyperparameters(hyper.Hyperparameters):
    """What a tensor-train job may set: max_rank, tol or both, and how."""

    max_rank: int | None = option(
        "the ranks between neighbouring modes, at most (or give tol)", None, ge=1, tunable=(1, 64)
    )
    tol: float | None = option(
        "relative error to keep to; the ranks follow (or give max_rank)", None, gt=0, lt=1, tunable=(1e-3, 0.5)
    )
    method: Literal["auto", "svd", "cross", "completion"] = option(
        "svd: truncated singular value decompositions; cross: interpolation of some entries; completion: alternating "
        "least squares over the observed entries; auto: completion where entries are missing, else svd",
        "auto",
    )
    entries: Literal["zeros", "missing"] = option("what an absent entry of a sparse tensor is", "zeros")
    missing: Literal["error", "mask"] = option("what a NaN of a dense tensor is", "error")
    l2: float = option("weight of the squares of all entries (completion)", 0.0, ge=0)
    max_iterations: int = option("sweeps there and back of completion and cross, at most", 100, ge=1)
    stop_tol: float = option("completion stops when the fit changes by less in a sweep", 1e-6, ge=0)
    seed: int = option("of the random start of completion and the samples of cross", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        if self.max_rank is None and self.tol is None:
            raise ValueError(
                "one of the hyperparameters max_rank, such as 20, and tol, the relative error that the ranks follow "
                "from, is needed: neither is set"
            )
        if self.max_rank is None and self.method == "completion":
            raise ValueError(_NEEDS_RANK)
        return self


_NEEDS_RANK = "method completion needs max_rank, such as 5: no ranks follow from the tol of entries that are missing"


@dataclass
class _Run:
    """One fit of a job: its data, and the errors that it has gone through."""

    job: Job[Hyperparameters]
    data: Slab | SparseTensor
    history: list[float] = field(default_factory=list)

    def svd(self) -> TensorTrain:
        """Of a sparse tensor with its zeros, as a dense one."""
        settings, slab = self.job.hyperparameters, dense(self.data, self.job.world, NAME)
        train = tensor_train(slab, tol=settings.tol, max_rank=settings.max_rank, world=self.job.world)
        self.job.metric("train relative_error", train.relative_error)
        return train

    def cross(self) -> TensorTrain:
        """Whatever the ranks hold, by looking entries up; the error is then taken over all of them."""
        settings, world = self.job.hyperparameters, self.job.world
        data, began, initial, checks = self.data, time.perf_counter(), None, None
        if isinstance(data, SparseTensor):
            data = summed(data, world)
            initial, checks = landmarks(data, SAMPLES, world)

        def after_pass(train: TensorTrain) -> bool:
            nonlocal began
            seconds, began = time.perf_counter() - began, time.perf_counter()
            return self.note(train.relative_error, len(self.history) + 1, seconds)

        train = tensor_cross(
            lookup(data, world),
            data.shape,
            max_rank=settings.max_rank or MOST_RANK,
            tol=settings.tol or 0.0,
            sweeps=settings.max_iterations,
            seed=settings.seed,
            initial=initial,
            checks=checks,
            world=world,
            after_pass=after_pass,
        )
        return TensorTrain(train.cores, true_error(train, data, world))

    def completion(self) -> TensorTrain:
        """Over the observed entries; goes on from a checkpoint."""
        settings, known = self.job.hyperparameters, observed(self.data, self.job.world)
        if settings.max_rank is None:
            raise UserError(_NEEDS_RANK)
        if settings.tol is not None:
            self.job.note(f"warning: tol={settings.tol:g} says nothing to completion, whose ranks are max_rank")
        return complete_tensor_train(
            known.indices,
            known.values,
            known.shape,
            settings.max_rank,
            l2=settings.l2,
            max_iterations=settings.max_iterations,
            tol=settings.stop_tol,
            seed=settings.seed,
            world=self.job.world,
            progress=self.resume(),
            after_sweep=lambda at: self.note(at.relative_error, at.iteration, at.seconds, at),
        )

    def note(self, error: float, iteration: int, seconds: float, at: Progress | None = None) -> bool:
        """Prints a sweep's lines, keeps a snapshot when one is due; False where the fit is to end here."""
        self.history.append(error)
        self.job.metric("train relative_error", error, {"iteration": iteration})
        self.job.metric("train seconds_per_sweep", seconds, {"iteration": iteration}, unit="seconds")
        now = self.job.boundary(iteration)
        if at is not None and (now.stop or now.save) and self.job.world.rank == 0:
            self.job.checkpoints.save(_progress.freeze(at, iteration))
        return not now.stop

    def resume(self) -> Progress | None:
        """Where an earlier run stood."""
        job = self.job
        snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
        if snapshot is None:
            return None
        job.note(f"resuming from the checkpoint of iteration {snapshot.step}")
        return _progress.thaw(Progress, snapshot, job.world.device)


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank its share of it."""
    settings, began = job.hyperparameters, time.perf_counter()
    read = read_tensor(job, dtype=getattr(torch, settings.dtype), gaps=settings.missing == "mask")
    run, method = _Run(job, read.data), _method(job, read.data)
    kind = "sparse" if isinstance(read.data, SparseTensor) else "dense"
    shape = " x ".join(map(str, read.data.shape))
    job.note(f"tensor-train: {kind} tensor {shape}, method {method} over {job.world.size} rank(s)")
    solvers: dict[str, Callable[[], TensorTrain]] = {
        "svd": run.svd,
        "cross": run.cross,
        "completion": run.completion,
    }
    train = solvers[method]()
    seconds = time.perf_counter() - began
    job.note(f"tensor-train: ranks {', '.join(map(str, train.ranks[1:-1]))}, done in {seconds:.1f} s")
    job.metric("train final_relative_error", train.relative_error)
    tensors, facts = numbered("core", train.cores), settings.model_dump()
    return DecompositionModel(NAME, tensors, build, train.relative_error, facts, read.labels, run.history, seconds)


def build(tensors: Mapping[str, Tensor], relative_error: float) -> TensorTrain:
    """The train of `core_0`, `core_1`, ..."""
    return TensorTrain(in_order("core", tensors), relative_error)


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, build)


def _method(job: Job[Hyperparameters], data: Slab | SparseTensor) -> str:
    """The method that a job means by auto; UserError where the one that it names does not go with its entries."""
    settings = job.hyperparameters
    if isinstance(data, SparseTensor):
        gaps, how = settings.entries == "missing", "entries=missing says that absent ones are unknown"
    else:
        gaps, how = job.world.any(bool(data.local.isnan().any())), "some are NaN, which missing=mask lets stay"
    if settings.method == "auto":
        return "completion" if gaps else "svd"
    if gaps and settings.method != "completion":
        raise UserError(f"method {settings.method} needs every entry, but {how}: set method=completion, or auto")
    if settings.method == "completion" and isinstance(data, SparseTensor) and not gaps:
        raise UserError(
            "method completion leaves absent entries out, but entries=zeros says that they are zeros: set "
            "entries=missing, or method=svd"
        )
    return settings.method
