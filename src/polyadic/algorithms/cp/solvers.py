"""The solvers of a cp job: each prints its lines, keeps checkpoints and ends when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, cast

from torch import Tensor

from polyadic.algorithms.cp.hyperparameters import Hyperparameters, Method
from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.nls import NewtonProgress
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.decomposition.cp.start import Init
from polyadic.decomposition.data import Data
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.objective import reachable
from polyadic.decomposition.gcp.progress import GCPProgress, StochasticProgress
from polyadic.decomposition.gcp.progress import Progress as LBFGSProgress
from polyadic.decomposition.gcp.stochastic import gcp_stochastic
from polyadic.jobs.job import Job
from polyadic.jobs.progress import Rows, freeze, same, thaw
from polyadic.tensor.cp_tensor import CPTensor

EXACT_SWEEPS = 3
"""Sweeps over all columns with which sampled-als begins."""
SWEEPS_PER_CHECK = 5
"""Sampled sweeps from one true error to the next."""
SAMPLED_COLUMNS, SAMPLED_ENTRIES = 2**16, 2**12
"""Of sampled-als and of adam, where `samples` is empty."""

State: TypeAlias = Progress | GCPProgress
P = TypeVar("P")


@dataclass(kw_only=True)
class Run:
    """One fit of a job.

    data: this rank's share of the tensor. init: where the fit begins. resumes: whether it goes on from a checkpoint
    and keeps new ones. history: the relative errors that it has gone through. steps: of its last restart.
    """

    job: Job[Hyperparameters]
    data: Data
    rank: int
    init: Init | None
    resumes: bool = True
    history: list[float] = field(default_factory=list)
    steps: int = 0

    def solve(self) -> CPTensor:
        """The model, by the method that the job asks for or that its loss and data suggest."""
        settings = self.job.hyperparameters
        solvers: dict[Method, Callable[[], CPTensor]] = {
            "auto": self._least_squares,
            "als": self._least_squares,
            "nls": self._least_squares,
            "sampled-als": self._sampled,
            "lbfgs": self._lbfgs,
            "adam": self._adam,
        }
        every_entry = reachable(self.data, settings.loss_function())
        return solvers[settings.method_for(every_entry=every_entry)]()

    def ended(self) -> str:
        """What the fit ended with, in words."""
        limit = self.job.hyperparameters.max_iterations
        if self.steps < limit or self.job.dry_run:
            return f"after {self.steps} sweeps"
        return f"after {self.steps} sweeps, all that max_iterations={limit} allows: a higher one may fit closer"

    def _least_squares(self) -> CPTensor:
        settings = self.job.hyperparameters

        def whole(factors: list[Tensor]) -> list[Tensor]:
            return self.data.whole(CPTensor(factors[0].new_zeros(factors[0].shape[1]), factors, 0.0)).factors

        return cp(
            self.data,
            self.rank,
            method=settings.method if settings.method in ("als", "nls") else "auto",
            nonnegative=settings.nonnegative,
            l2=settings.l2,
            fixed=settings.fixed_modes,
            init=self.init,
            max_iterations=settings.max_iterations,
            stop_tol=settings.stop_tol,
            restarts=settings.restarts,
            seed=settings.seed,
            progress=self._resume(Progress, self.data.held),
            after_sweep=lambda state: self._note(state, state.iteration, whole=whole),
        )

    def _sampled(self) -> CPTensor:
        settings = self.job.hyperparameters

        def after(state: Progress) -> bool:
            sampled, last = state.iteration > EXACT_SWEEPS, state.iteration == settings.max_iterations
            known = not sampled or last or state.iteration % SWEEPS_PER_CHECK == 0
            # Before the sampled sweeps begin, a rank holds its own rows alone: these few sweeps are done again.
            return self._note(state, state.iteration, saves=sampled, known=known)

        return sampled_cp(
            self.data,
            self.rank,
            samples=settings.samples or SAMPLED_COLUMNS,
            exact_sweeps=EXACT_SWEEPS,
            check_every=SWEEPS_PER_CHECK,
            init=self.init or "random",
            max_iterations=settings.max_iterations,
            stop_tol=settings.stop_tol,
            seed=settings.seed,
            progress=self._resume(Progress),
            after_sweep=after,
        )

    def _lbfgs(self) -> CPTensor:
        settings = self.job.hyperparameters
        return gcp(
            self.data,
            self.rank,
            settings.loss_function(),
            l2=settings.l2,
            init=self.init or "random",
            max_iterations=settings.max_iterations,
            stop_tol=settings.stop_tol,
            restarts=settings.restarts or 1,
            seed=settings.seed,
            progress=self._resume(LBFGSProgress),
            after_iteration=lambda state: self._note(state, state.iteration),
        )

    def _adam(self) -> CPTensor:
        settings = self.job.hyperparameters
        return gcp_stochastic(
            self.data,
            self.rank,
            settings.loss_function(),
            l2=settings.l2,
            init=self.init or "random",
            samples=settings.samples or SAMPLED_ENTRIES,
            epochs=settings.max_iterations,
            learning_rate=settings.learning_rate,
            restarts=settings.restarts or 1,
            seed=settings.seed,
            progress=self._resume(StochasticProgress),
            after_epoch=lambda state: self._note(state, state.epoch, name="epoch"),
        )

    def _resume(self, kind: type[P], held: Rows = same) -> P | None:
        """The progress of an earlier run of the job; None where there is none. A collective."""
        snapshot = self.job.resume() if self.resumes else None
        if snapshot is None:
            return None
        restart, step = int(snapshot.numbers["restart"]), int(snapshot.numbers.get("iteration", snapshot.step))
        self.job.note(f"resuming from the checkpoint of restart {restart}, iteration {step}")
        if kind is Progress and "damping" in snapshot.numbers:
            return cast(P, thaw(NewtonProgress, snapshot, self.job.world.device, held))
        return thaw(kind, snapshot, self.job.world.device, held)

    def _note(
        self,
        state: State,
        step: int,
        *,
        name: str = "iteration",
        whole: Rows = same,
        saves: bool = True,
        known: bool = True,
    ) -> bool:
        """Prints the lines of a step, and keeps a snapshot when one is due; False where the fit is to end here.

        name: what the step is called. whole: makes whole factors of this rank's rows. saves: whether the fit can be
        resumed from this step. known: whether the error of this step is known.
        """
        job, settings, self.steps = self.job, self.job.hyperparameters, step
        where = {name: step} | ({"restart": state.restart} if (settings.restarts or 1) > 1 or state.restart else {})
        where |= {} if self.resumes else {"rank": self.rank}
        if known:
            self.history.append(state.relative_error)
            job.metric("train relative_error", state.relative_error, where)
        job.metric("train seconds_per_sweep", state.seconds, where, unit="seconds")
        if isinstance(state, GCPProgress):
            job.metric("train loss", state.loss, where)
        boundary = job.boundary(step)
        if (boundary.stop or boundary.save) and saves and self.resumes:
            job.keep(freeze(state, state.restart * settings.max_iterations + step, whole))
        return not boundary.stop
