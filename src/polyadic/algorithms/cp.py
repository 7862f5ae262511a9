"""cp: the canonical polyadic decomposition of a dense tensor, by alternating least squares."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from polyadic.algorithms import _hyperparameters as hyper
from polyadic.algorithms._job import ChannelSpec, Job, Metric, Snapshot
from polyadic.artifact import Artifact
from polyadic.decomposition.cp import CPTensor, Progress, cp
from polyadic.distributed import World
from polyadic.errors import UserError, shorten
from polyadic.formats import npy
from polyadic.tensor.dense import Slab, longest, share

NAME = "cp"
SUMMARY = "canonical polyadic decomposition of a dense tensor by alternating least squares"
CHANNELS = (ChannelSpec("train", "one .npy file: the tensor, of any order from 2 on", npy.CONTENT_TYPES),)
METRICS = (
    Metric("train relative_error", about="|X - Y| / |X| after a sweep"),
    Metric("train seconds_per_sweep", unit="seconds"),
    Metric("train final_relative_error", objective=True, about="of the model that is kept"),
)


class Hyperparameters(hyper.Hyperparameters):
    """What a cp job may set."""

    rank: int = hyper.hyperparameter("number of components", ge=1, tunable=(1, 64))
    max_iterations: int = hyper.hyperparameter("sweeps over the modes, at most", 100, ge=1)
    tol: float = hyper.hyperparameter("stop when the fit changes by less in a sweep", 1e-6, ge=0)
    restarts: int = hyper.hyperparameter("random starts, of which the best is kept", 1, ge=1, tunable=(1, 10))
    seed: int = hyper.hyperparameter("of the random starts", 0, ge=0)
    dtype: Literal["float32", "float64"] = hyper.hyperparameter("precision of the arithmetic", "float32")


@dataclass(frozen=True)
class Model:
    """A CP tensor that answers with its entries."""

    tensor: CPTensor
    hyperparameters: Mapping[str, Any]

    def artifact(self) -> Artifact:
        """Tensors `weights` and `factor_0`, `factor_1`, ..."""
        return Artifact(
            algorithm=NAME,
            hyperparameters=self.hyperparameters,
            tensors={"weights": self.tensor.weights, **_numbered("factor", self.tensor.factors)},
            metrics={"train:final_relative_error": self.tensor.relative_error},
        )

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> list[int]:
        """An index, one row a mode, from {"index": [i, j, k]}."""
        index = instance.get("index") if isinstance(instance, dict) else None
        order = len(self.tensor.factors)
        if not isinstance(index, list) or len(index) != order or not all(type(row) is int for row in index):
            raise UserError(f'got {shorten(instance)}: an instance is {{"index": [...]}} with {order} integers')
        for mode, row in enumerate(index):
            rows = len(self.tensor.factors[mode])
            if not 0 <= row < rows:
                raise UserError(f"index[{mode}] is {row}: mode {mode} has rows 0 to {rows - 1}")
        return index

    def predict(self, instances: list[list[int]]) -> list[dict[str, Any]]:
        """{"value": x} for each index."""
        values = self.tensor.at(torch.tensor(instances).reshape(len(instances), -1))
        return [{"value": value} for value in values.tolist()]

    def example(self) -> object:
        """The first entry."""
        return {"index": [0] * len(self.tensor.factors)}


def load(artifact: Artifact) -> Model:
    """The model that was written down."""
    factors = [artifact.tensors[f"factor_{mode}"] for mode in range(len(artifact.tensors) - 1)]
    error = artifact.metrics["train:final_relative_error"]
    return Model(CPTensor(artifact.tensors["weights"], factors, error), artifact.hyperparameters)


def fit(job: Job[Hyperparameters]) -> Model:
    """Decomposes the tensor of channel `train`, each rank a slab of its longest mode."""
    settings = job.hyperparameters
    slab = read_slab(job)
    job.note(f"cp: tensor {' x '.join(map(str, slab.shape))}, mode {slab.mode} over {job.world.size} rank(s)")
    began = time.perf_counter()

    def after_sweep(at: Progress) -> bool:
        where = {"iteration": at.iteration} | ({"restart": at.restart} if settings.restarts > 1 else {})
        job.metric("train relative_error", at.relative_error, where)
        job.metric("train seconds_per_sweep", at.seconds, where, unit="seconds")
        now = job.boundary(at.iteration)
        if now.stop or now.save:
            _save(job, at, slab)
        return not now.stop

    tensor = cp(
        slab,
        settings.rank,
        world=job.world,
        max_iterations=settings.max_iterations,
        tol=settings.tol,
        restarts=settings.restarts,
        seed=settings.seed,
        progress=_resume(job, slab),
        after_sweep=after_sweep,
    )
    job.note(f"cp: done in {time.perf_counter() - began:.1f} s")
    job.metric("train final_relative_error", tensor.relative_error)
    return Model(tensor, settings.model_dump())


def read_slab(job: Job[Hyperparameters]) -> Slab:
    """This rank's rows of the longest mode; a rank whose host has no file takes none."""
    files = job.files("train", npy.SUFFIXES)
    if len(files) > 1:
        names = ", ".join(path.name for path in files[:5])
        raise UserError(f"channel train holds {len(files)} .npy files ({names}): give one tensor, in one file")
    array = npy.open_array(files[0]) if files else None
    shapes = job.world.collect(None if array is None else array.shape)
    holders = [rank for rank, shape in enumerate(shapes) if shape is not None]
    shape = shapes[holders[0]] or (1,)
    if any(shapes[rank] != shapes[holders[0]] for rank in holders):
        raise UserError(f"the hosts hold different tensors, of shapes {shapes}: give one tensor, in one file")
    mode, start, stop = longest(shape), 0, 0
    if array is None:
        array = np.empty([0 if n == mode else rows for n, rows in enumerate(shape)])
    else:
        start, stop = share(shape[mode], holders.index(job.world.rank), len(holders))
    rows = array.reshape(shape if files else array.shape)[(slice(None),) * mode + (slice(start, stop),)]
    # numpy converts what torch has no type for: other byte orders, extended precision.
    local = torch.from_numpy(np.array(rows, dtype=job.hyperparameters.dtype, order="C")).to(job.world.device)
    slab = Slab(local, tuple(shape), mode, start)
    _refuse_gaps(slab, job.world)
    return slab


def _refuse_gaps(slab: Slab, world: World) -> None:
    gaps = ~torch.isfinite(slab.local)
    if not world.any(bool(gaps.any())):
        return
    count = int(world.sum_(gaps.sum()))
    where = gaps.nonzero()[0].tolist() if gaps.any() else None
    if where:
        where[slab.mode] += slab.start
    first = next(one for one in world.collect(where) if one is not None)
    raise UserError(
        f"the tensor holds {count} entries that are NaN or infinite, the first at index {first}: "
        "cp needs every entry. Fill them in, or leave out the rows that hold them"
    )


def _save(job: Job[Hyperparameters], at: Progress, slab: Slab) -> None:
    """Keeps the factors whole, so that any number of ranks can go on from them."""
    tensors = {"weights": at.weights, **_numbered("factor", at.factors)}
    tensors[f"factor_{slab.mode}"] = job.world.gather_rows(at.factors[slab.mode])
    numbers = {name: getattr(at, name) for name in ("restart", "iteration", "relative_error", "error_before")}
    if at.best is not None:
        tensors |= {"best_weights": at.best.weights, **_numbered("best_factor", at.best.factors)}
        tensors[f"best_factor_{slab.mode}"] = job.world.gather_rows(at.best.factors[slab.mode])
        numbers["best_relative_error"] = at.best.relative_error
    if job.world.rank == 0:
        step = at.restart * job.hyperparameters.max_iterations + at.iteration
        job.checkpoints.save(Snapshot(step, tensors, numbers))


def _resume(job: Job[Hyperparameters], slab: Slab) -> Progress | None:
    snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
    if snapshot is None:
        return None
    tensors, numbers, order = snapshot.tensors, snapshot.numbers, len(slab.shape)

    def mine(name: str) -> list[Tensor]:
        factors = [tensors[f"{name}_{mode}"].to(slab.local.device) for mode in range(order)]
        factors[slab.mode] = factors[slab.mode][slab.rows].clone()
        return factors

    best = None
    if "best_weights" in tensors:
        best = CPTensor(
            tensors["best_weights"].to(slab.local.device), mine("best_factor"), numbers["best_relative_error"]
        )
    restart, iteration = int(numbers["restart"]), int(numbers["iteration"])
    job.note(f"resuming from the checkpoint of restart {restart}, iteration {iteration}")
    weights = tensors["weights"].to(slab.local.device)
    errors = numbers["relative_error"], numbers["error_before"]
    return Progress(restart, iteration, weights, mine("factor"), *errors, best=best)


def _numbered(name: str, factors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}_{mode}": factor for mode, factor in enumerate(factors)}
