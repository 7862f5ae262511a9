"""The fit of a tucker job: the tensor of a channel -> a core and factors."""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import Tensor

from polyadic.algorithms.tucker.hyperparameters import Hyperparameters
from polyadic.algorithms.tucker.memory import needs
from polyadic.algorithms.tucker.model import build
from polyadic.decomposition.tucker.fit import tucker
from polyadic.decomposition.tucker.progress import Progress
from polyadic.jobs.job import Job
from polyadic.jobs.progress import freeze, thaw
from polyadic.lowrank.model import DecompositionModel
from polyadic.readers.tensor import read_tensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.densify import densify
from polyadic.tensor.numbered_names import numbered


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank a slab of it."""
    settings, began, history = job.hyperparameters, time.perf_counter(), list[float]()
    read = read_tensor(job, dtype=getattr(torch, settings.dtype), needs=partial(needs, settings))
    slab = densify(read.data, job.world, wanted_by=job.algorithm)
    job.note(f"tucker: tensor {_written(slab.shape)}, mode {slab.mode} over {job.world}")
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
        after_sweep=lambda progress: _after_sweep(job, progress, slab, history),
    )
    if settings.method == "st-hosvd":
        job.metric("train relative_error", tensor.relative_error)
    seconds = time.perf_counter() - began
    error = f"relative error {tensor.relative_error:.4g}"
    job.note(f"tucker: core {_written(tensor.core.shape)}, {error}; done in {seconds:.1f} s")
    job.metric("train final_relative_error", tensor.relative_error)
    return DecompositionModel(
        algorithm=job.algorithm,
        tensors={"core": tensor.core, **numbered("factor", tensor.factors)},
        build=build,
        relative_error=tensor.relative_error,
        hyperparameters=settings.model_dump(),
        labels=read.labels,
        names=read.names,
        history=history,
        seconds=seconds,
    )


def _written(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _after_sweep(job: Job[Hyperparameters], progress: Progress, slab: Slab, history: list[float]) -> bool:
    """Prints the lines of a sweep, and keeps a snapshot when one is due; False where the fit is to end here."""
    history.append(progress.relative_error)
    where = {"iteration": progress.iteration}
    job.metric("train relative_error", progress.relative_error, where)
    job.metric("train seconds_per_sweep", progress.seconds, where, unit="seconds")
    boundary = job.boundary(progress.iteration)
    if boundary.stop or boundary.save:

        def whole(factors: list[Tensor]) -> list[Tensor]:
            rows = job.world.gather_rows(factors[slab.mode])
            return [*factors[: slab.mode], rows, *factors[slab.mode + 1 :]]

        # Whole factors, so that any number of ranks can go on from them.
        job.keep(freeze(progress, progress.iteration, whole))
    return not boundary.stop


def _resume(job: Job[Hyperparameters], slab: Slab) -> Progress | None:
    """The progress of an earlier run of the job; None where there is none. A collective."""
    snapshot = job.resume()
    if snapshot is None:
        return None
    job.note(f"resuming from the checkpoint of iteration {snapshot.step}")

    def held(factors: list[Tensor]) -> list[Tensor]:
        rows = factors[slab.mode][slab.rows].clone()
        return [*factors[: slab.mode], rows, *factors[slab.mode + 1 :]]

    return thaw(Progress, snapshot, slab.local.device, held)
