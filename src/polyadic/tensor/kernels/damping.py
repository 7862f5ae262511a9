"""How a Levenberg-Marquardt descent goes on: which trial is taken, with what damping, and when it ends; by numba.

`state` holds the damping and its growth, the squares to beat, and the steps taken.
"""

from __future__ import annotations

import numpy as np

from polyadic.tensor.kernels.jit import jit

ACCEPTED_RATIO = 1e-4
"""A step is taken when the sum of squares falls by this part of what the step's model promised."""
GOOD_RATIO = 0.9
"""The damping falls faster after a step that kept so much of its promise."""
SLOW_STEPS = 3
"""A descent ends after so many steps in a row that gain less than its tolerance."""
LEAST_PROMISE = 1e-15
"""A step that promises less than this part of the sum of squares is round-off."""
MOST_REFUSALS = 12
"""Steps refused in a row, each with more damping, after which a descent ends."""


@jit
def begun(state):
    """What a descent counts: its slow steps in a row, and its refusals; the squares in `state` are those to beat."""
    state[2] = np.inf
    return np.zeros(2)


@jit
def judged(state, counts, found, promise, floor, tolerance):
    """Whether a trial with the squares `found` is taken; `state` and `counts` follow.

    The damping follows the ratio of gain and promise: Nielsen, IMM-REP-1999-05, DTU.
    """
    gain, first = state[2] - found, state[2] == np.inf
    if not first and not (gain > 0.0 and gain > ACCEPTED_RATIO * promise):
        state[0] *= state[1]
        state[1] *= 2.0
        counts[1] += 1.0
        return False
    if not first:
        ratio = 2.0 * gain / promise - 1.0
        state[0] *= 0.2 if gain > GOOD_RATIO * promise else max(1.0 / 3.0, 1.0 - ratio * ratio * ratio)
        counts[0] = counts[0] + 1.0 if gain < tolerance * (found + floor) else 0.0
    state[1], state[2], counts[1] = 2.0, found, 0.0
    return True


@jit
def ended(state, counts, promise, floor):
    """Whether a descent has converged, or is at its precision."""
    slow, refused = counts[0] == SLOW_STEPS, counts[1] == MOST_REFUSALS
    return slow or refused or promise < LEAST_PROMISE * (state[2] + floor)
