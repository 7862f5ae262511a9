"""Chaotic systems of the bench's own making: sequences from many starts, forecast from a few steps of one coordinate.

A state is an array of which the last axis counts sequences, N of them; what is observed of it is one number a sequence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from scripts.bench.accuracy_tasks import Task, Values, records, windows

SEQUENCES, STEPS = 10_000, 95
TRAIN, VALIDATION = 8000, 1000
"""Sequences to train on, and to validate on after these; the rest is tested."""
STARTS = 500
"""Of the flows whose sequences follow one another; those that are tested are of starts of their own."""
PERIOD = 22.0
START, DAY = datetime(2000, 1, 1), timedelta(days=1)


def chaos(name: str, observed: Values, context: int, recipe: str, steps: tuple[int, ...]) -> Task:
    """Sequences (N x context + 95) from different starts; the last tenth tested, one validated on."""
    values = observed.astype(np.float32).astype(np.float64)
    test = windows(values[TRAIN + VALIDATION :], START, DAY, context, STEPS, cat=False)
    repeated = -(-STEPS // 2)
    return Task(
        f"{name}, {context} in, {STEPS} out",
        records(values[:TRAIN], START, cat=False),
        records(values[TRAIN : TRAIN + VALIDATION], START, cat=False),
        test,
        {"tt-lstm": recipe, "lstm": f"{recipe}_lstm"},
        steps,
        {
            "period-2 repetition": np.tile(test.context[:, -2:], repeated)[:, :STEPS],
            "mean of the training data": np.broadcast_to(values[:TRAIN, context:].mean(0), test.actual.shape),
        },
        unit="RMSE",
        leading=True,
    )


def trajectory(step: Callable[[Values], Values], state: Values, count: int) -> Values:
    """The first coordinate of a state and of those that follow it: N x count."""
    seen = []
    for _ in range(count):
        seen.append(state if state.ndim == 1 else state[0])
        state = step(state)
    return np.stack(seen, 1)


def genz(kind: str) -> Task:
    """A chaotic map of the Genz family, w = 1/2 (Yu et al. 2017); x0 ~ U(-0.1, 1)."""
    maps: dict[str, Callable[[Values], Values]] = {
        "f1": lambda x: np.cos(np.pi + 10 * x),
        "f2": lambda x: 1 / (10.0**-2 + (x + 0.5) ** 2),
        "f4": lambda x: np.exp(-(3.0**2) * (x - 0.5) ** 2),
    }
    begin = np.random.default_rng(0).uniform(-0.1, 1, SEQUENCES)
    return chaos(f"Genz {kind}", trajectory(maps[kind], begin, 5 + STEPS), 5, "chaos", (1, 5, 10, 15, 20, 95))


def lorenz() -> Task:
    """The first coordinate of Lorenz's system every 0.1 (sigma 10, rho 28, beta 8/3), from its attractor.

    Its largest Lyapunov exponent is 0.906: an error grows e times in 11 steps.
    """

    def slope(s: Values) -> Values:
        return np.stack([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    def step(s: Values, parts: int = 20) -> Values:
        h = 0.1 / parts
        for _ in range(parts):
            a = slope(s)
            b = slope(s + h / 2 * a)
            c = slope(s + h / 2 * b)
            s = s + h / 6 * (a + 2 * b + 2 * c + slope(s + h * c))
        return s

    state = 8 * np.random.default_rng(0).normal(size=(3, SEQUENCES)) + np.array([[0.0], [0.0], [25.0]])
    for _ in range(50):
        state = step(state)
    return chaos("Lorenz", trajectory(step, state, 5 + STEPS), 5, "chaos", (1, 5, 10, 15, 20, 95))


def mackey_glass_step(history: Values) -> Values:
    """The state 6 later of x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, by Heun's steps.

    history: the newest value first, then those before it up to 17 earlier, at even distances of which 6 is a multiple.
    """
    delay = len(history) - 1
    h, parts = 17 / delay, 6 * delay // 17
    history = history.copy()
    for _ in range(parts):
        now, before, later = history[0], history[delay], history[delay - 1]
        first = 0.2 * before / (1 + before**10) - 0.1 * now
        second = 0.2 * later / (1 + later**10) - 0.1 * (now + h * first)
        history = np.concatenate([(now + h / 2 * (first + second))[None], history[:-1]])
    return history


def mackey_glass() -> Task:
    """Mackey and Glass's equation of delay 17 every 6, from its attractor.

    Its largest Lyapunov exponent is about 0.006: an error grows e times in 28 steps.
    """
    state = np.repeat(np.random.default_rng(0).uniform(0.5, 1.3, (1, STARTS)), 171, 0)
    seen = _on_attractor(mackey_glass_step, state, 80, 5)
    return chaos("Mackey-Glass", seen, 5, "chaos", (1, 10, 28, 56, 95))


def kuramoto_sivashinsky_step(u: Values, h: float = 0.25) -> Values:
    """The state 1 later of u_t = -u u_x - u_xx - u_xxxx, of period 22: points x sequences.

    By ETDRK4 with steps of h: Kassam and Trefethen, Fourth-order time-stepping for stiff PDEs, SIAM J. Sci. Comp. 2005.
    """
    points = len(u)
    wave = 2 * np.pi / PERIOD * np.fft.rfftfreq(points, 1 / points)[:, None]
    linear = wave**2 - wave**4
    z = h * linear + np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 32)
    full, half = np.exp(h * linear), np.exp(h * linear / 2)

    def weight(of: Values) -> Values:
        mean: Values = h * of.mean(1, keepdims=True).real
        return mean

    q = weight((np.exp(z / 2) - 1) / z)
    f1 = weight((-4 - z + np.exp(z) * (4 - 3 * z + z**2)) / z**3)
    f2 = weight((2 + z + np.exp(z) * (z - 2)) / z**3)
    f3 = weight((-4 - 3 * z - z**2 + np.exp(z) * (4 - z)) / z**3)

    def bent(v: Any) -> Any:
        """-u u_x in frequencies."""
        return -0.5j * wave * np.fft.rfft(np.fft.irfft(v, points, 0) ** 2, axis=0)

    v = np.fft.rfft(u, axis=0)
    for _ in range(round(1 / h)):
        n = bent(v)
        a = half * v + q * n
        na = bent(a)
        b = half * v + q * na
        nb = bent(b)
        c = half * a + q * (2 * nb - n)
        v = full * v + n * f1 + 2 * (na + nb) * f2 + bent(c) * f3
    after: Values = np.fft.irfft(v, points, 0)
    return after


def kuramoto_sivashinsky() -> Task:
    """One of 64 points of the Kuramoto-Sivashinsky equation of period 22 every 1, from its attractor.

    Its largest Lyapunov exponent is 0.043: an error grows e times in 23 steps.
    """
    random, place = np.random.default_rng(0), np.arange(64)[:, None] / 64
    waves = [random.normal(size=STARTS) * np.cos(2 * np.pi * (n * place + random.uniform(size=STARTS))) for n in (1, 2)]
    seen = _on_attractor(kuramoto_sivashinsky_step, np.sum(waves, 0), 200, 20)
    return chaos("Kuramoto-Sivashinsky", seen, 20, "chaos_20", (1, 10, 23, 46, 95))


def _on_attractor(step: Callable[[Values], Values], state: Values, transient: int, context: int) -> Values:
    """Sequences after a transient, those of a start one after the other."""
    for _ in range(transient):
        state = step(state)
    count = context + STEPS
    return trajectory(step, state, SEQUENCES // STARTS * count).reshape(SEQUENCES, count)
