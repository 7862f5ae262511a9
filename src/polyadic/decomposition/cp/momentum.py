"""Sweeps over observed entries that begin ahead of where the last one ended, in the direction in which it went.

D. Mitchell, N. Ye and H. De Sterck, Nesterov acceleration of alternating least squares for canonical tensor
decomposition, Numer. Linear Algebra Appl. 2020, with their restart where the error grows; the length of the step as in
A. M. S. Ang, J. E. Cohen, N. Gillis and L. T. K. Hien, Accelerating block coordinate descent for nonnegative tensor
factorization, Numer. Linear Algebra Appl. 2021. Where it pays and where it does not: docs/decisions.md.
"""

from __future__ import annotations

from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.cp.sweep import Sweep

SETTLED = 0.1
"""Sweeps begin ahead once one lowers the error by less than this part: before, they would choose another minimum."""
GROWTH, BOUND_GROWTH, CUT = 1.05, 1.01, 1.5
"""After a sweep that lowered the objective the step grows by the first, up to its bound, and the bound by the second,
up to 1; after another one the step becomes the bound, and is cut by the last."""


def sweep_ahead(sweep: Sweep, progress: Progress) -> None:
    """One sweep from beyond the factors, or from these where it would raise the objective: another pass over the data.

    The first mode of a sweep is solved for anyway: the others go on by `progress.push` times their last change.
    """
    began = [factor.clone() for factor in progress.factors]
    if not progress.previous or progress.error_before - progress.relative_error > SETTLED * progress.relative_error:
        sweep(progress)
        progress.previous = began
        return
    weights, grams, error = progress.weights, list(progress.grams), progress.relative_error
    objective = sweep.objective(progress)
    for mode in sweep.order(progress)[1:]:
        ahead = began[mode] + progress.push * (began[mode] - progress.previous[mode])
        progress.factors[mode] = ahead.clamp_min_(0) if sweep.nonnegative else ahead
    progress.previous = []  # Its memory is the sweep's now.
    parity, rank = progress.iteration % 2, len(weights)
    sweep.seek(parity, rank)
    sweep(progress)
    if sweep.objective(progress) <= objective:
        progress.push = min(progress.bound, progress.push * GROWTH)
        progress.bound = min(1.0, progress.bound * BOUND_GROWTH)
    else:
        progress.bound, progress.push = progress.push, progress.push / CUT
        seconds, progress.iteration, progress.relative_error = progress.seconds, progress.iteration - 1, error
        progress.weights, progress.grams, progress.factors = weights, grams, list(began)
        sweep.seek(parity, rank)
        sweep(progress)
        progress.seconds += seconds
    progress.previous = began
