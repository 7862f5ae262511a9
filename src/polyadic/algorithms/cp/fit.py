"""The fit of a cp job: the tensor of a channel -> weights and factors."""

from __future__ import annotations

import time
from functools import partial

import torch

from polyadic.algorithms.cp.hyperparameters import Hyperparameters
from polyadic.algorithms.cp.memory import needs
from polyadic.algorithms.cp.model import builder, cp_tensor
from polyadic.algorithms.cp.solvers import Run
from polyadic.decomposition.cp.consistency import core_consistency
from polyadic.decomposition.cp.ranks import LEAST_AGREED, Trial, highest, trials
from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.data import Data
from polyadic.errors import UserError
from polyadic.jobs.earlier_model import read_earlier
from polyadic.jobs.job import Job
from polyadic.lowrank.model import DecompositionModel
from polyadic.readers.tensor import read_tensor
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.numbered_names import numbered
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare


def fit(job: Job[Hyperparameters]) -> DecompositionModel:
    """Decomposes the tensor of channel `train`, each rank its slab or its block of it."""
    settings, began = job.hyperparameters, time.perf_counter()
    read = read_tensor(
        job, dtype=getattr(torch, settings.dtype), gaps=settings.missing == "mask", needs=partial(needs, settings)
    )
    sparse = isinstance(read.data, SparseTensor)
    observed = settings.entries == "missing" if sparse else settings.missing == "mask"
    data = Data.of(read.data, job.world, observed=observed)
    _describe(job, data)
    init: Init | None = _earlier_model(job) if settings.init == "model" else settings.init
    if settings.rank is None:
        model, history, ended = _best_rank(job, data, init)
    else:
        run = Run(job=job, data=data, rank=settings.rank, init=init)
        model, history, ended = run.solve(), run.history, run.ended()
    seconds = time.perf_counter() - began
    job.note(f"cp: rank {model.rank}, relative error {model.relative_error:.4g} {ended}; done in {seconds:.1f} s")
    for doubt in model.doubts:
        job.note(f"cp: {doubt}")
    job.metric("train final_relative_error", model.relative_error)
    return DecompositionModel(
        algorithm=job.algorithm,
        tensors={"weights": model.weights, **numbered("factor", model.factors)},
        build=builder(settings.loss),
        relative_error=model.relative_error,
        hyperparameters=settings.model_dump(),
        labels=read.labels,
        names=read.names,
        history=history,
        seconds=seconds,
    )


def _describe(job: Job[Hyperparameters], data: Data) -> None:
    shape = " x ".join(map(str, data.share.shape))
    if not isinstance(data.share, SparseShare):
        job.note(f"cp: dense tensor {shape} over {job.world}")
        return
    if data.share.duplicates:
        job.note(f"cp: {data.share.duplicates} records repeat an index: their values are summed")
    job.note(f"cp: sparse tensor {shape}, {data.share.nonzeros} nonzeros over {job.world}")
    if job.hyperparameters.entries == "zeros" and "entries" not in job.hyperparameters.model_fields_set:
        job.note("cp: absent entries count as zeros; set entries=missing where they are unknown, as in ratings")


def _best_rank(job: Job[Hyperparameters], data: Data, init: Init | None) -> tuple[CPTensor, list[float], str]:
    """The model of the highest rank that its core consistency, and halves of the data, support."""
    settings, runs, tried = job.hyperparameters, dict[int, tuple[Run, CPTensor]](), list[Trial]()
    ranks = range(settings.min_rank, settings.max_rank + 1)

    def run(rank: int) -> tuple[Run, CPTensor]:
        fit = Run(job=job, data=data, rank=rank, init=init, resumes=False)
        return fit, fit.solve()

    searched = trials(data, ranks, l2=settings.l2, seed=settings.seed) if _searches(settings, init) else None
    for rank in ranks:
        if searched is None:
            runs[rank] = run(rank)
            model = runs[rank][1]
            tried.append(Trial(rank, model.relative_error, core_consistency(data, model), None))
        else:
            tried.append(next(searched))
        job.metric("train core_consistency", tried[-1].consistency, {"rank": rank}, unit="percent")
        if (split_half := tried[-1].split_half) is not None:
            job.metric("train split_half", split_half, {"rank": rank}, unit="congruence")
        if job.boundary(rank).stop:
            break
    best = highest(tried)
    job.note(f"cp: {_reason(best, ranks[0], tried[-1].rank)}")
    searched = None  # It holds the halves of the data.
    fit, model = runs[best.rank] if best.rank in runs else run(best.rank)
    return model, fit.history, fit.ended()


def _reason(best: Trial, lowest: int, highest: int) -> str:
    """Why a rank was taken."""
    halves = "" if best.split_half is None else " that halves of the data agree on"
    if best.holds:
        return f"rank {best.rank} is the highest with a consistent core{halves}, of {lowest} to {highest}"
    why = "the lowest"
    if best.split_half is not None and best.split_half >= LEAST_AGREED:
        why = f"on which halves agree most (congruence {best.split_half:.2f})"
    return f"no rank of {lowest} to {highest} has a consistent core{halves}: rank {best.rank} is taken, {why}"


def _searches(settings: Hyperparameters, init: Init | None) -> bool:
    """Whether a fit is a search of what stands for the data."""
    squares = settings.method == "auto" and settings.loss == "gaussian"
    return squares and not settings.nonnegative and not settings.fixed_modes and init is None


def _earlier_model(job: Job[Hyperparameters]) -> CPTensor:
    """The model of channel `model`: the files of a model, or the archive that a job leaves."""
    if "model" not in job.channels:
        raise UserError("init is model, but there is no channel model: give one with the model.tar.gz of a cp job")
    return cp_tensor(read_earlier(job.channels["model"], job.algorithm).tensors, float("nan"))
