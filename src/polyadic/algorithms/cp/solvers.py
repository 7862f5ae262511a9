"""The ways to fit a CP model as a job runs them: each prints its lines, keeps checkpoints and ends when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from polyadic.decomposition.cp.als import Data, Init, Progress, cp
from polyadic.decomposition.cp.sampled import sampled_cp
from polyadic.decomposition.gcp.lbfgs import Progress as GCPProgress
from polyadic.decomposition.gcp.lbfgs import gcp
from polyadic.decomposition.gcp.losses import Huber, Loss, named
from polyadic.decomposition.gcp.objective import reachable
from polyadic.decomposition.gcp.stochastic import Progress as AdamProgress
from polyadic.decomposition.gcp.stochastic import gcp_stochastic
from polyadic.jobs import progress as _progress
from polyadic.jobs.job import Job
from polyadic.tensor.cp_tensor import CPTensor

if TYPE_CHECKING:
    from polyadic.algorithms.cp.fit import Hyperparameters

EXACT_SWEEPS, CHECKED_EVERY = 3, 5
SAMPLED_COLUMNS, SAMPLED_ENTRIES = 2**16, 2**12


@dataclass
class Run:
    """One fit of a job: its data, its rank, how it begins, and the errors that it has gone through."""

    job: Job[Hyperparameters]
    data: Data
    rank: int
    init: Init
    resumes: bool = True
    history: list[float] = field(default_factory=list)

    def solve(self) -> CPTensor:
        """The model, by the method that the job asks for or that its loss and data suggest."""
        solver: dict[str, Callable[[], CPTensor]] = {
            "als": self._als,
            "sampled-als": self._sampled,
            "lbfgs": self._lbfgs,
            "adam": self._adam,
        }
        return solver[method(self.job.hyperparameters, self.data)]()

    def _als(self) -> CPTensor:
        settings = self.job.hyperparameters

        def whole(factors: list[Tensor]) -> list[Tensor]:
            return self.data.whole(CPTensor(factors[0][0], factors, 0.0)).factors

        return cp(
            self.data,
            self.rank,
            nonnegative=settings.nonnegative,
            l2=settings.l2,
            fixed=settings.fixed_modes,
            init=self.init,
            max_iterations=settings.max_iterations,
            tol=settings.tol,
            restarts=settings.restarts,
            seed=settings.seed,
            progress=self._resume(Progress, self.data.held),
            after_sweep=lambda at: self._note(at, at.iteration, "iteration", whole),
        )

    def _sampled(self) -> CPTensor:
        settings = self.job.hyperparameters

        def after(at: Progress) -> bool:
            sampled, last = at.iteration > EXACT_SWEEPS, at.iteration == settings.max_iterations
            known = not sampled or last or at.iteration % CHECKED_EVERY == 0
            # Before the sampled sweeps begin, a rank holds its own rows alone: these few sweeps are done again.
            return self._note(at, at.iteration, "iteration", saves=sampled, known=known)

        return sampled_cp(
            self.data,
            self.rank,
            samples=settings.samples or SAMPLED_COLUMNS,
            exact_sweeps=EXACT_SWEEPS,
            check_every=CHECKED_EVERY,
            init=self.init,
            max_iterations=settings.max_iterations,
            tol=settings.tol,
            seed=settings.seed,
            progress=self._resume(Progress),
            after_sweep=after,
        )

    def _lbfgs(self) -> CPTensor:
        settings = self.job.hyperparameters
        return gcp(
            self.data,
            self.rank,
            loss_of(settings),
            l2=settings.l2,
            init=self.init,
            max_iterations=settings.max_iterations,
            tol=settings.tol,
            restarts=settings.restarts,
            seed=settings.seed,
            progress=self._resume(GCPProgress),
            after_iteration=lambda at: self._note(at, at.iteration, "iteration"),
        )

    def _adam(self) -> CPTensor:
        settings = self.job.hyperparameters
        return gcp_stochastic(
            self.data,
            self.rank,
            loss_of(settings),
            l2=settings.l2,
            init=self.init,
            samples=settings.samples or SAMPLED_ENTRIES,
            epochs=settings.max_iterations,
            learning_rate=settings.learning_rate,
            restarts=settings.restarts,
            seed=settings.seed,
            progress=self._resume(AdamProgress),
            after_epoch=lambda at: self._note(at, at.epoch, "epoch"),
        )

    def _resume(self, kind: type[Any], held: _progress.Rows = _progress.same) -> Any:
        job = self.job
        if not self.resumes:
            return None
        snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
        if snapshot is None:
            return None
        restart, step = int(snapshot.numbers["restart"]), int(snapshot.numbers.get("iteration", snapshot.step))
        job.note(f"resuming from the checkpoint of restart {restart}, iteration {step}")
        return _progress.thaw(kind, snapshot, job.world.device, held)

    def _note(
        self,
        at: Any,
        step: int,
        name: str,
        whole: _progress.Rows = _progress.same,
        *,
        saves: bool = True,
        known: bool = True,
    ) -> bool:
        """Prints a step's lines, the error where it is known; keeps a snapshot when one is due.

        False where the fit is to end here.
        """
        job, settings = self.job, self.job.hyperparameters
        where = {name: step} | ({"restart": at.restart} if settings.restarts > 1 else {})
        where |= {} if self.resumes else {"rank": self.rank}
        if known:
            self.history.append(at.relative_error)
            job.metric("train relative_error", at.relative_error, where)
        job.metric("train seconds_per_sweep", at.seconds, where, unit="seconds")
        if hasattr(at, "loss"):
            job.metric("train loss", at.loss, where)
        now = job.boundary(step)
        if (now.stop or now.save) and saves and self.resumes:
            snapshot = _progress.freeze(at, at.restart * settings.max_iterations + step, whole)
            if job.world.rank == 0:
                job.checkpoints.save(snapshot)
        return not now.stop


def method(settings: Hyperparameters, data: Data) -> str:
    """The method that a job means by auto: als for squares; for other losses lbfgs, or adam where that is too much."""
    if settings.method != "auto":
        return settings.method
    if settings.loss == "gaussian":
        return "als"
    return "lbfgs" if reachable(data, loss_of(settings)) else "adam"


def loss_of(settings: Hyperparameters) -> Loss:
    """The loss that a job names."""
    return Huber(settings.huber_delta) if settings.loss == Huber.name else named(settings.loss)
