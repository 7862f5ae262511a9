"""CP by alternating least squares: one factor after another, beside the newest of the others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from polyadic.decomposition.cp.dense_sweep import DenseSweep, fits
from polyadic.decomposition.cp.error import final_error
from polyadic.decomposition.cp.momentum import sweep_ahead
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.start import Init, begin
from polyadic.decomposition.cp.sweep import Sweep
from polyadic.decomposition.data import Data
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.kernels.threads import for_kernels


def unwatched(_: Progress) -> bool:
    """What sees the sweeps of a fit that nobody watches: several may then be made at once."""
    return True


def als(
    data: Data,
    rank: int,
    *,
    nonnegative: bool = False,
    l2: float = 0.0,
    fixed: list[int] | None = None,
    init: Init = "random",
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = unwatched,
) -> CPTensor:
    """The best of some restarts of alternating least squares; arguments and errors as those of `fit.cp`.

    A sweep updates every mode once: A^(n) <- M^(n) (*_{m≠n} A^(m)T A^(m))^-1 with the MTTKRP M^(n), and columns are
    normalised into the weights: Kolda and Bader, SIAM Review 2009, figure 3.3. The error follows from
    |X - Y|² = |X|² + |Y|² - 2 <X, Y>, with <X, Y> from the last MTTKRP; by reconstruction where that difference would
    be round-off. In a dense tensor the last two modes may change places from one sweep to the next, which saves passes
    over the data; in one of few entries, modes are updated from the shortest to the longest. With unknown entries,
    sweeps begin ahead of the factors (`momentum`).
    """
    modes = [mode for mode in range(len(data.share.shape)) if mode not in (fixed or [])]
    dense, progress = fits(data, rank), progress or Progress()
    sweep = (DenseSweep if dense else Sweep)(data, nonnegative=nonnegative, l2=l2, modes=modes)
    with for_kernels() if dense else nullcontext():
        while progress.restart < restarts:
            if not progress.factors:
                first = progress.restart == 0
                progress.factors = begin(data, rank, init, seed + progress.restart, first, carrier=modes[-1])
            going = _descend(progress, sweep, max_iterations, stop_tol, after_sweep)
            progress.relative_error = final_error(data, progress)
            if not going:
                break
            progress.next_restart()
        return data.whole(progress.better())


def _descend(
    progress: Progress,
    sweep: Sweep | DenseSweep,
    max_iterations: int,
    stop_tol: float,
    after_sweep: Callable[[Progress], bool],
) -> bool:
    """Sweeps until the present restart converges; False when the caller ends the fit."""
    sweep.begin(progress)
    while progress.iteration < max_iterations and not progress.converged(stop_tol):
        if isinstance(sweep, DenseSweep):
            sweep(progress, max_iterations if after_sweep is unwatched else progress.iteration + 1, stop_tol)
        elif sweep.data.mask is not None:
            sweep_ahead(sweep, progress)
        else:
            sweep(progress)
        if not after_sweep(progress):
            return False
    return True
