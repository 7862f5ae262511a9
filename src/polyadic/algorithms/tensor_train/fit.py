"""The fit of a tensor-train job: the tensor of a channel -> a chain of cores."""

from __future__ import annotations

import time
from functools import partial

import torch

from polyadic.algorithms.tensor_train.hyperparameters import Hyperparameters, Method
from polyadic.algorithms.tensor_train.memory import needs, observed_bytes
from polyadic.algorithms.tensor_train.model import build
from polyadic.algorithms.tensor_train.solvers import Run
from polyadic.errors import UserError
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need, reserve
from polyadic.lowrank.model import DecompositionModel
from polyadic.readers.tensor import read_tensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.numbered_names import numbered
from polyadic.tensor.sparse import SparseTensor


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank its share of it."""
    settings, began = job.hyperparameters, time.perf_counter()
    read = read_tensor(
        job, dtype=getattr(torch, settings.dtype), gaps=settings.missing == "mask", needs=partial(needs, settings)
    )
    run, method = Run(job=job, data=read.data), _method(job, read.data)
    if method == "completion" and isinstance(read.data, Slab):
        observed = int(read.data.local.isfinite().sum())
        reserve(job, Need({"observed entries": observed_bytes(settings, observed)}, "lower max_rank"))
    kind = "sparse" if isinstance(read.data, SparseTensor) else "dense"
    shape = " x ".join(map(str, read.data.shape))
    job.note(f"tensor-train: {kind} tensor {shape}, method {method} over {job.world}")
    train = run.solve(method)
    seconds = time.perf_counter() - began
    error = f"relative error {train.relative_error:.4g}"
    job.note(f"tensor-train: ranks {', '.join(map(str, train.ranks[1:-1]))}, {error}; done in {seconds:.1f} s")
    job.metric("train final_relative_error", train.relative_error)
    return DecompositionModel(
        algorithm=job.algorithm,
        tensors=numbered("core", train.cores),
        build=build,
        relative_error=train.relative_error,
        hyperparameters=settings.model_dump(),
        labels=read.labels,
        names=read.names,
        history=run.history,
        seconds=seconds,
    )


def _method(job: Job[Hyperparameters], data: Slab | SparseTensor) -> Method:
    """The method of the fit; UserError where the one that the job names does not go with its entries."""
    settings = job.hyperparameters
    if isinstance(data, SparseTensor):
        gaps, reason = settings.entries == "missing", "entries=missing says that absent ones are unknown"
    else:
        gaps, reason = job.world.any(bool(data.local.isnan().any())), "some are NaN, which missing=mask lets stay"
    method = settings.method_for(gaps=gaps)
    if gaps and method != "completion":
        raise UserError(f"method {method} needs every entry, but {reason}: set method=completion, or auto")
    if method == "completion" and isinstance(data, SparseTensor) and not gaps:
        raise UserError(
            "method completion leaves absent entries out, but entries=zeros says that they are zeros: set "
            "entries=missing, or method=svd"
        )
    return method
