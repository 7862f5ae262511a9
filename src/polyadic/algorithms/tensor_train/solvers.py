"""The solvers of a tensor-train job: each prints its lines, and ends when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from polyadic.algorithms.tensor_train.hyperparameters import NEEDS_RANK, Hyperparameters, Method
from polyadic.decomposition.train.completion import Progress, complete_tensor_train
from polyadic.decomposition.train.cross import ERROR_SAMPLES, tensor_cross
from polyadic.decomposition.train.entries import (
    entry_lookup,
    largest_and_random,
    merged_nonzeros,
    observed_entries,
    relative_error,
)
from polyadic.decomposition.train.svd import tensor_train
from polyadic.errors import UserError
from polyadic.jobs.job import Job
from polyadic.jobs.progress import freeze, thaw
from polyadic.tensor.dense import Slab
from polyadic.tensor.densify import densify
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain

DEFAULT_MAX_RANK = 100
"""Of cross, where max_rank is empty."""


@dataclass(kw_only=True)
class Run:
    """One fit of a job: this rank's share of the tensor, and the relative errors that the fit has gone through."""

    job: Job[Hyperparameters]
    data: Slab | SparseTensor
    history: list[float] = field(default_factory=list)

    def solve(self, method: Method) -> TensorTrain:
        """The train by a method."""
        solvers: dict[Method, Callable[[], TensorTrain]] = {
            "svd": self._svd,
            "cross": self._cross,
            "completion": self._completion,
        }
        return solvers[method]()

    def _svd(self) -> TensorTrain:
        """Of a sparse tensor with its zeros, as a dense one."""
        settings, slab = self.job.hyperparameters, densify(self.data, self.job.world, wanted_by=self.job.algorithm)
        train = tensor_train(slab, tol=settings.tol, max_rank=settings.max_rank, world=self.job.world)
        self.job.metric("train relative_error", train.relative_error)
        return train

    def _cross(self) -> TensorTrain:
        """By looking entries up, whichever rank has them; the error of the result is over all of them."""
        settings, world = self.job.hyperparameters, self.job.world
        data, began, initial, checks = self.data, time.perf_counter(), None, None
        if isinstance(data, SparseTensor):
            data = merged_nonzeros(data, world)
            initial, checks = largest_and_random(data, ERROR_SAMPLES, world)

        def after_pass(train: TensorTrain) -> bool:
            nonlocal began
            seconds, began = time.perf_counter() - began, time.perf_counter()
            return self._note(train.relative_error, len(self.history) + 1, seconds)

        train = tensor_cross(
            entry_lookup(data, world),
            data.shape,
            max_rank=settings.max_rank or DEFAULT_MAX_RANK,
            tol=settings.tol or 0.0,
            sweeps=settings.max_iterations,
            seed=settings.seed,
            initial=initial,
            checks=checks,
            world=world,
            after_pass=after_pass,
        )
        return TensorTrain(train.cores, relative_error(train, data, world))

    def _completion(self) -> TensorTrain:
        """Over the observed entries; goes on from a checkpoint."""
        settings = self.job.hyperparameters
        if settings.max_rank is None:
            raise UserError(NEEDS_RANK)
        if settings.tol is not None:
            self.job.note(f"warning: tol={settings.tol:g} says nothing to completion, whose ranks are max_rank")
        entries = observed_entries(self.data, self.job.world)
        return complete_tensor_train(
            entries.indices,
            entries.values,
            entries.shape,
            settings.max_rank,
            l2=settings.l2,
            max_iterations=settings.max_iterations,
            stop_tol=settings.stop_tol,
            seed=settings.seed,
            world=self.job.world,
            progress=self._resume(),
            after_sweep=self._after_sweep,
        )

    def _after_sweep(self, progress: Progress) -> bool:
        return self._note(progress.relative_error, progress.iteration, progress.seconds, progress)

    def _note(self, error: float, iteration: int, seconds: float, progress: Progress | None = None) -> bool:
        """Prints the lines of a sweep, and keeps a snapshot when one is due; False where the fit is to end here."""
        self.history.append(error)
        self.job.metric("train relative_error", error, {"iteration": iteration})
        self.job.metric("train seconds_per_sweep", seconds, {"iteration": iteration}, unit="seconds")
        boundary = self.job.boundary(iteration)
        if progress is not None and (boundary.stop or boundary.save):
            self.job.keep(freeze(progress, iteration))
        return not boundary.stop

    def _resume(self) -> Progress | None:
        """The progress of an earlier run of the job; None where there is none. A collective."""
        snapshot = self.job.resume()
        if snapshot is None:
            return None
        self.job.note(f"resuming from the checkpoint of iteration {snapshot.step}")
        return thaw(Progress, snapshot, self.job.world.device)
