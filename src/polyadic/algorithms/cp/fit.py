"""cp: the canonical polyadic decomposition of a dense or sparse tensor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor

from polyadic.algorithms.cp.solvers import Run
from polyadic.artifact import Artifact
from polyadic.decomposition.cp.als import Data, Init
from polyadic.decomposition.cp.consistency import choose, core_consistency
from polyadic.decomposition.gcp.losses import Loss, named
from polyadic.errors import UserError
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.earlier_model import channel_spec, read_earlier
from polyadic.jobs.job import ChannelSpec, Job, Metric
from polyadic.lowrank.model import Build, DecompositionModel, in_order, numbered
from polyadic.options import option
from polyadic.readers.tensor import content_types, read_tensor
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.sparse_share import SparseShare

NAME = "cp"
SUMMARY = "canonical polyadic decomposition of a dense or sparse tensor"
CHANNELS = (
    ChannelSpec("train", "a tensor: dense or sparse, in one file or several, or a folder of pictures", content_types()),
    channel_spec("cp", "for init=model"),
)
METRICS = (
    Metric("train relative_error", about="|X - Y| / |X| over the observed entries, after a sweep"),
    Metric("train seconds_per_sweep", unit="seconds"),
    Metric("train loss", about="mean loss an entry, of lbfgs and adam"),
    Metric("train core_consistency", unit="percent", minimize=False, about="of each rank that rank=auto tries"),
    Metric("train final_relative_error", objective=True, about="of the model that is kept"),
)


class Hyperparameters(hyper.Hyperparameters):
    """What a cp job may set."""

    rank: int | None = option("number of components", ge=1, tunable=(1, 64), none="auto")
    min_rank: int = option("least rank that rank=auto tries", 1, ge=1)
    max_rank: int = option("greatest rank that rank=auto tries", 8, ge=1)
    method: Literal["auto", "als", "sampled-als", "lbfgs", "adam"] = option(
        "als: alternating least squares; sampled-als: over columns sampled by leverage, for large sparse tensors; "
        "lbfgs and adam: any loss, with full or sampled gradients; auto: als for gaussian, else lbfgs where it fits",
        "auto",
    )
    loss: Literal["gaussian", "poisson", "bernoulli-logit", "gamma", "huber"] = option(
        "what is minimised: squares, or the loss of counts, of zeros and ones, of positive numbers, of outliers",
        "gaussian",
    )
    entries: Literal["zeros", "missing"] = option("what an absent entry of a sparse tensor is", "zeros")
    missing: Literal["error", "mask"] = option("what a NaN of a dense tensor is", "error")
    nonnegative: bool = option("keep every factor nonnegative (als)", False)
    init: Literal["random", "svd", "model"] = option(
        "where a fit begins: at random, at the singular vectors of the unfoldings, at the model of channel model",
        "random",
    )
    fixed_modes: list[int] = option("modes whose factors stay as they begin (als)", [])
    huber_delta: float = option("residual from which loss=huber grows linearly", 1.0, gt=0)
    l2: float = option("ridge on every factor", 0.0, ge=0)
    max_iterations: int = option("sweeps over the modes, or epochs of adam, at most", 100, ge=1)
    tol: float = option("stop when the fit changes by less in a sweep", 1e-6, ge=0)
    restarts: int = option("random starts, of which the best is kept", 1, ge=1, tunable=(1, 10))
    samples: int | None = option(
        "columns a mode of sampled-als (65536 where empty), entries a step of adam (4096)", None, ge=2
    )
    learning_rate: float = option("of adam, halved when an epoch fails", 1e-3, gt=0, tunable=(1e-4, 1e-1))
    seed: int = option("of random starts and samples", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        method = self.method if self.method != "auto" else "als" if self.loss == "gaussian" else "lbfgs"
        if self.loss != "gaussian" and method in ("als", "sampled-als"):
            raise ValueError(f"loss={self.loss} needs method lbfgs, adam or auto: {method} minimises squares")
        only_als = [name for name in ("nonnegative", "fixed_modes") if getattr(self, name)]
        if only_als and method != "als":
            raise ValueError(f"{' and '.join(only_als)}: method als alone can do that, the method here is {method}")
        if method == "sampled-als" and (self.entries == "missing" or self.l2 or self.restarts > 1):
            raise ValueError("sampled-als takes absent entries as zeros, l2 as 0 and restarts as 1: use method als")
        if self.rank is None and self.min_rank > self.max_rank:
            raise ValueError(f"min_rank is {self.min_rank}, max_rank {self.max_rank}: the first must not be larger")
        return self


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank its slab or its block of it."""
    settings, began = job.hyperparameters, time.perf_counter()
    read = read_tensor(job, dtype=getattr(torch, settings.dtype), gaps=settings.missing == "mask")
    sparse = not hasattr(read.data, "local")
    observed = settings.entries == "missing" if sparse else settings.missing == "mask"
    data = Data.of(read.data, job.world, observed=observed)
    _describe(job, data)
    init: Init = _earlier(job) if settings.init == "model" else settings.init
    if settings.rank is None:
        model, history = _by_consistency(job, data, init)
    else:
        run = Run(job, data, settings.rank, init)
        model, history = run.solve(), run.history
    seconds = time.perf_counter() - began
    job.note(f"cp: done in {seconds:.1f} s")
    job.metric("train final_relative_error", model.relative_error)
    tensors = {"weights": model.weights, **numbered("factor", model.factors)}
    facts = settings.model_dump()
    build = builder(settings.loss)
    return DecompositionModel(NAME, tensors, build, model.relative_error, facts, read.labels, history, seconds)


@dataclass(frozen=True)
class Means:
    """A CP tensor whose loss has a link, as the means of the data that it stands for: probabilities, of log-odds."""

    tensor: CPTensor
    loss: Loss

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows a mode."""
        return self.tensor.shape

    def at(self, index: Tensor) -> Tensor:
        """The means at B indices (B x N): B."""
        return self.loss.mean(self.tensor.at(index))

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The means where the modes that are None run over all of their rows."""
        return self.loss.mean(self.tensor.slice(index))

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """As a CP tensor's, of slabs that hold what the loss links to means: log-odds."""
        return self.tensor.embed(mode, slabs)


def builder(loss: str) -> Build:
    """What makes the tensor that answers of `weights` and `factor_0`, `factor_1`, ..."""
    kind = named(loss)

    def build(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor | Means:
        tensor = _cp_tensor(tensors, relative_error)
        return Means(tensor, kind) if kind.linked else tensor

    return build


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, builder(artifact.hyperparameters.get("loss", "gaussian")))


def _cp_tensor(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor:
    return CPTensor(tensors["weights"], in_order("factor", tensors), relative_error)


def _describe(job: Job[Hyperparameters], data: Data) -> None:
    shape = " x ".join(map(str, data.share.shape))
    if not isinstance(data.share, SparseShare):
        job.note(f"cp: dense tensor {shape} over {job.world.size} rank(s)")
        return
    if data.share.duplicates:
        job.note(f"cp: {data.share.duplicates} records repeat an index: their values are summed")
    job.note(f"cp: sparse tensor {shape}, {data.share.nonzeros} nonzeros over {job.world.size} rank(s)")


def _by_consistency(job: Job[Hyperparameters], data: Data, init: Init) -> tuple[CPTensor, list[float]]:
    """The model of the highest rank that its core consistency supports; each rank is fitted from the beginning."""
    settings, histories = job.hyperparameters, dict[int, list[float]]()

    def models() -> Iterator[tuple[int, CPTensor, float]]:
        for rank in range(settings.min_rank, settings.max_rank + 1):
            run = Run(job, data, rank, init, resumes=False)
            model = run.solve()
            histories[rank] = run.history
            yield rank, model, core_consistency(data, model)
            if job.boundary(rank).stop:
                return

    def note(rank: int, model: CPTensor, consistency: float) -> None:
        job.metric("train core_consistency", consistency, {"rank": rank}, unit="percent")

    model = choose(models(), note)
    job.note(f"cp: rank {model.rank} is the highest with a consistent core, of {min(histories)} to {max(histories)}")
    return model, histories[model.rank]


def _earlier(job: Job[Hyperparameters]) -> CPTensor:
    """The model of channel `model`: the files of one, or the archive that a job leaves."""
    if "model" not in job.channels:
        raise UserError("init is model, but there is no channel model: give one with the model.tar.gz of a cp job")
    return _cp_tensor(read_earlier(job.channels["model"], NAME).tensors, float("nan"))
