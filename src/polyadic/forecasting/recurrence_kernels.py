"""The kernels of a CPU between the matrix products of a recurrence's step, by numba; torch's forms are their oracles.

Shapes: B batch, X lagged hidden states, R rank, H hidden; `past` (B x W) holds hidden states newest first, and the lags
of the step begin at column `first`. Arrays are contiguous by rows.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from polyadic.tensor.kernels.jit import jit
from polyadic.tensor.kernels.vectors import (
    added,
    entry,
    load,
    logistic,
    multiplied,
    product,
    scaled,
    store,
    subtracted,
    tangent,
    total,
    zeros,
)

WIDE = 8
"""Numbers that are taken at a time."""


@cache
def products() -> Any:
    """out (B x R (X + 1)) = every product of a number of v (B x R) and a lag, the lags fastest; then v itself."""

    @jit
    def kernel(v, past, first, lagged, out):
        rank = v.shape[1]
        for b in range(len(v)):
            for r in range(rank):
                number, base = entry(v, b, r), r * lagged
                for k in range(0, lagged - WIDE + 1, WIDE):
                    store(out, b, base + k, scaled(number, load(past, b, first + k, WIDE), zeros(out, WIDE)))
                for k in range(lagged - lagged % WIDE, lagged):
                    out[b, base + k] = number * past[b, first + k]
                out[b, rank * lagged + r] = number

    return kernel


@cache
def products_back() -> Any:
    """What d (B x R (X + 1)), the gradient of `products`, says of v (to dv, B x R) and of the lags (added to dpast)."""

    @jit
    def kernel(d, v, past, first, lagged, dv, dpast):
        rank = v.shape[1]
        for b in range(len(v)):
            for r in range(rank):
                number, base, sum_ = entry(v, b, r), r * lagged, zeros(d, WIDE)
                for k in range(0, lagged - WIDE + 1, WIDE):
                    one = load(d, b, base + k, WIDE)
                    sum_ = multiplied(one, load(past, b, first + k, WIDE), sum_)
                    store(dpast, b, first + k, scaled(number, one, load(dpast, b, first + k, WIDE)))
                rest = total(sum_) + d[b, rank * lagged + r]
                for k in range(lagged - lagged % WIDE, lagged):
                    rest += d[b, base + k] * past[b, first + k]
                    dpast[b, first + k] += number * d[b, base + k]
                dv[b, r] = rest

    return kernel


@cache
def gates() -> Any:
    """From z (B x 4 H, float32) the gates, in its place; the next cell, its tanh, and h at `first` of past."""

    @jit
    def kernel(z, before, after, squashed, past, first):
        hidden = before.shape[1]
        for b in range(len(z)):
            for k in range(0, hidden - WIDE + 1, WIDE):
                i, j = logistic(load(z, b, k, WIDE)), tangent(load(z, b, hidden + k, WIDE))
                f, o = logistic(load(z, b, 2 * hidden + k, WIDE)), logistic(load(z, b, 3 * hidden + k, WIDE))
                c = multiplied(i, j, product(f, load(before, b, k, WIDE)))
                t = tangent(c)
                store(z, b, k, i)
                store(z, b, hidden + k, j)
                store(z, b, 2 * hidden + k, f)
                store(z, b, 3 * hidden + k, o)
                store(after, b, k, c)
                store(squashed, b, k, t)
                store(past, b, first + k, product(o, t))
            for k in range(hidden - hidden % WIDE, hidden):
                for gate in (0, 2, 3):
                    z[b, gate * hidden + k] = 1 / (1 + math.exp(-z[b, gate * hidden + k]))
                z[b, hidden + k] = math.tanh(z[b, hidden + k])
                after[b, k] = z[b, 2 * hidden + k] * before[b, k] + z[b, k] * z[b, hidden + k]
                squashed[b, k] = math.tanh(after[b, k])
                past[b, first + k] = z[b, 3 * hidden + k] * squashed[b, k]

    return kernel


@cache
def gates_back() -> Any:
    """What dh, columns [first, first + H) of dpast, and dc (B x H) say of the gates i, j, f, o, to dz (B x 4 H).

    dc becomes that of the cell before. gates (B x 4 H) are the gates' values, `before` and `squashed` (B x H) the cell
    before the step and tanh of the one after.
    """

    @jit
    def kernel(gates, before, squashed, dpast, first, dc, dz):
        hidden = dc.shape[1]
        for b in range(len(dc)):
            for k in range(0, hidden - WIDE + 1, WIDE):
                i, j = load(gates, b, k, WIDE), load(gates, b, hidden + k, WIDE)
                f, o = load(gates, b, 2 * hidden + k, WIDE), load(gates, b, 3 * hidden + k, WIDE)
                dh, t = load(dpast, b, first + k, WIDE), load(squashed, b, k, WIDE)
                of_output, of_tanh = product(dh, t), product(dh, o)
                store(dz, b, 3 * hidden + k, product(of_output, subtracted(o, product(o, o))))
                through = subtracted(of_tanh, product(product(of_tanh, t), t))
                d = added(load(dc, b, k, WIDE), through)
                store(dz, b, k, product(product(d, j), subtracted(i, product(i, i))))
                of_input = product(d, i)
                store(dz, b, hidden + k, subtracted(of_input, product(product(of_input, j), j)))
                store(
                    dz, b, 2 * hidden + k, product(product(d, load(before, b, k, WIDE)), subtracted(f, product(f, f)))
                )
                store(dc, b, k, product(d, f))
            for k in range(hidden - hidden % WIDE, hidden):
                i, j, f, o = gates[b, k], gates[b, hidden + k], gates[b, 2 * hidden + k], gates[b, 3 * hidden + k]
                dh, t = dpast[b, first + k], squashed[b, k]
                dz[b, 3 * hidden + k] = dh * t * (o - o * o)
                d = dc[b, k] + dh * o - dh * o * t * t
                dz[b, k] = d * j * (i - i * i)
                dz[b, hidden + k] = d * i - d * i * j * j
                dz[b, 2 * hidden + k] = d * before[b, k] * (f - f * f)
                dc[b, k] = d * f

    return kernel
