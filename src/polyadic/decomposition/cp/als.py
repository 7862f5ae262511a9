"""The canonical polyadic decomposition by alternating least squares: X ≈ sum_r weights_r a_r^(1) ∘ ... ∘ a_r^(N)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.start import Init, begin
from polyadic.decomposition.cp.sweep import Sweep
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense, checked, mode_of
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import Slab
from polyadic.tensor.sparse import SparseTensor


@checked(renamed={"tol": "stop_tol"})
def cp(
    tensor: Dense | Slab | SparseTensor | Data,
    rank: int,
    *,
    world: World | None = None,
    observed: bool = False,
    nonnegative: bool = False,
    l2: float = 0.0,
    fixed: Collection[int] = (),
    init: Init = "random",
    max_iterations: int = 100,
    stop_tol: float = 1e-6,
    restarts: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    after_sweep: Callable[[Progress], bool] = lambda _: True,
) -> CPTensor:
    """Alternating least squares for the CP decomposition of a dense or sparse tensor.

    tensor: I_1 x ... x I_N, N >= 2, float32 or float64, finite and not all zero; this rank's Slab of a dense one, or
    any part of the nonzeros of a sparse one. rank: R, the number of components.
    observed: absent entries of a sparse tensor and the NaN of a dense one are unknown, and each row is fitted to the
    observed entries alone; otherwise absent entries are zeros.
    nonnegative: keeps every factor nonnegative. l2: added to the diagonal of the normal equations, which belong to a
    tensor of norm 1. fixed: modes whose factors stay as they begin, but for
    the lengths of their columns, which go to the weights.
    init: where a restart begins: at factors uniform on [0, 1) drawn from (seed, restart), at the leading singular
    vectors of the unfoldings (in the first restart), or at a model of the same shape and rank.
    stop_tol: a restart ends when the fit, 1 - relative error, changes by less in a sweep, or after `max_iterations`
    sweeps; the best of the `restarts` is kept.
    progress: the state of an earlier fit to resume. after_sweep: sees the state after each sweep, and ends the fit by
    returning False.

    Returns weights (R, float64) and factors (I_n x R, columns of length 1), whole on every rank, with the relative
    error |X - Y| / |X| over the entries that count.

    A sweep updates every mode once: A^(n) <- M^(n) (*_{m≠n} A^(m)T A^(m))^-1 with the MTTKRP M^(n), and columns are
    normalised into the weights: Kolda and Bader, SIAM Review 2009, figure 3.3. The error follows from
    |X - Y|² = |X|² + |Y|² - 2 <X, Y>, with <X, Y> from the last MTTKRP; by reconstruction where that difference would
    be round-off. In a dense tensor of long modes the last two modes change places from one sweep to the next, which
    saves passes over the data.

    Raises UserError for a rank under 1, an order under 2, fixed modes that do not exist or leave none free, and a
    tensor that is empty, all zero, not finite, or too large for sums in its precision.
    """
    data = Data.of(tensor, world, observed=observed)
    sweep = Sweep(data, nonnegative=nonnegative, l2=l2, modes=_free(fixed, len(data.share.shape)))
    progress = progress or Progress()
    while progress.restart < restarts:
        if not progress.factors:
            first = progress.restart == 0
            progress.factors = begin(data, rank, init, seed + progress.restart, first, carrier=sweep.modes[-1])
        if not _descend(progress, sweep, max_iterations, stop_tol, after_sweep):
            break
        progress.next_restart()
    return data.whole(progress.better())


def _free(fixed: Collection[int], order: int) -> list[int]:
    """The modes to update; UserError for a fixed one that does not exist, or where none is left."""
    held = {mode_of(mode, order, "a fixed mode") for mode in fixed}
    if len(held) == order:
        raise UserError(f"fixed modes are {sorted(held)}: they may be some of 0 to {order - 1}, but not all of them")
    return [mode for mode in range(order) if mode not in held]


def _descend(
    progress: Progress,
    sweep: Sweep,
    max_iterations: int,
    stop_tol: float,
    after_sweep: Callable[[Progress], bool],
) -> bool:
    """Sweeps until the present restart converges; False when the caller ends the fit."""
    sweep.begin(progress)
    while progress.iteration < max_iterations and not progress.converged(stop_tol):
        sweep(progress)
        if not after_sweep(progress):
            return False
    return True
