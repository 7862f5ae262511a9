"""tucker: a small core and a factor a mode, of given ranks or within a relative error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.decomposition.tucker.fit import Method, Progress, RangeFinder, TuckerTensor, tucker
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs import progress as _progress
from polyadic.jobs.job import ChannelSpec, Job, Metric
from polyadic.lowrank.model import DecompositionModel, in_order, numbered
from polyadic.options import option
from polyadic.readers.tensor import content_types, read_tensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.densify import dense

NAME = "tucker"
SUMMARY = "Tucker decomposition of a tensor: ST-HOSVD, HOOI or nonnegative, by ranks or by tolerance"
CHANNELS = (
    ChannelSpec("train", "a tensor: dense or sparse, in one file or several, or a folder of pictures", content_types()),
)
METRICS = (
    Metric("train relative_error", about="|X - Y| / |X|, of hooi and nonnegative after a sweep"),
    Metric("train seconds_per_sweep", unit="seconds"),
    Metric("train final_relative_error", objective=True, about="of the model that is kept"),
)


class Hyperparameters(hyper.Hyperparameters):
    """What a tucker job may set: one of ranks and tol, and how."""

    ranks: list[int] | None = option("rows of the core, one number a mode (or give tol)", None)
    tol: float | None = option(
        "relative error to keep to; the ranks follow (or give ranks)", None, gt=0, lt=1, tunable=(1e-3, 0.5)
    )
    method: Method = option(
        "st-hosvd: a truncation a mode; hooi: sweeps on from there; nonnegative: no number under 0 in core and factors",
        "st-hosvd",
    )
    range_finder: RangeFinder = option(
        "where st-hosvd takes a mode's subspace from: its Gram matrix, a random sketch, or what is faster", "auto"
    )
    max_iterations: int = option("sweeps over the modes of hooi and nonnegative, at most", 100, ge=1)
    stop_tol: float = option("they stop when the fit changes by less in a sweep", 1e-6, ge=0)
    seed: int = option("of random sketches and nonnegative starts", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        if (self.ranks is None) == (self.tol is None):
            got = "neither is set" if self.ranks is None else "both are set"
            raise ValueError(
                "one of the hyperparameters ranks, such as [20, 20, 5], and tol, the relative error that the ranks "
                f"follow from, is needed: {got}"
            )
        if any(rank < 1 for rank in self.ranks or ()):
            raise ValueError(f"hyperparameter ranks is {self.ranks}: each must be 1 or more, one number a mode")
        if self.tol is not None and (self.method == "nonnegative" or self.range_finder == "randomized"):
            which = "method=nonnegative" if self.method == "nonnegative" else "range_finder=randomized"
            raise ValueError(f"{which} cannot tell ranks from tol: set ranks, one number a mode, in its place")
        return self


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank a slab of it."""
    settings, began, history = job.hyperparameters, time.perf_counter(), list[float]()
    read = read_tensor(job, dtype=getattr(torch, settings.dtype))
    slab = dense(read.data, job.world, NAME)
    job.note(f"tucker: tensor {_by(slab.shape)}, mode {slab.mode} over {job.world.size} rank(s)")

    def after_sweep(at: Progress) -> bool:
        history.append(at.relative_error)
        where = {"iteration": at.iteration}
        job.metric("train relative_error", at.relative_error, where)
        job.metric("train seconds_per_sweep", at.seconds, where, unit="seconds")
        now = job.boundary(at.iteration)
        if now.stop or now.save:
            _save(job, at, slab)
        return not now.stop

    tensor = tucker(
        slab,
        settings.ranks,
        tol=settings.tol,
        method=settings.method,
        range_finder=settings.range_finder,
        world=job.world,
        max_iterations=settings.max_iterations,
        stop_tol=settings.stop_tol,
        seed=settings.seed,
        progress=_resume(job, slab),
        after_sweep=after_sweep,
    )
    if settings.method == "st-hosvd":
        job.metric("train relative_error", tensor.relative_error)
    seconds = time.perf_counter() - began
    job.note(f"tucker: core {_by(tensor.core.shape)}, done in {seconds:.1f} s")
    job.metric("train final_relative_error", tensor.relative_error)
    tensors = {"core": tensor.core, **numbered("factor", tensor.factors)}
    facts = settings.model_dump()
    return DecompositionModel(NAME, tensors, build, tensor.relative_error, facts, read.labels, history, seconds)


def build(tensors: Mapping[str, Tensor], relative_error: float) -> TuckerTensor:
    """The Tucker tensor of `core` and `factor_0`, `factor_1`, ..."""
    return TuckerTensor(tensors["core"], in_order("factor", tensors), relative_error)


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, build)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _save(job: Job[Hyperparameters], at: Progress, slab: Slab) -> None:
    """Keeps the factors whole, so that any number of ranks can go on from them."""

    def whole(factors: list[Tensor]) -> list[Tensor]:
        rows = job.world.gather_rows(factors[slab.mode])
        return [*factors[: slab.mode], rows, *factors[slab.mode + 1 :]]

    snapshot = _progress.freeze(at, at.iteration, whole)
    if job.world.rank == 0:
        job.checkpoints.save(snapshot)


def _resume(job: Job[Hyperparameters], slab: Slab) -> Progress | None:
    snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
    if snapshot is None:
        return None
    job.note(f"resuming from the checkpoint of iteration {snapshot.step}")

    def held(factors: list[Tensor]) -> list[Tensor]:
        rows = factors[slab.mode][slab.rows].clone()
        return [*factors[: slab.mode], rows, *factors[slab.mode + 1 :]]

    return _progress.thaw(Progress, snapshot, slab.local.device, held)
