"""The kernels that a CPU runs between the matrix products of a recurrence's step, by numba.

The functions of recurrence_operations.py of the same names say what each computes, and have torch's form of it, which
tests compare the kernels with. Shapes: B batch, X lagged hidden states, R rank, H hidden; `past` (B x W) holds hidden
states newest first, and the lags of the step begin at its column `first`. Arrays are contiguous by rows.
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

LANES = 8
"""Numbers that one vector holds."""


@cache
def products() -> Any:
    """To out (B x R (X + 1)): every product of an entry of v (B x R) and a lag, the lags fastest; then v itself."""

    @jit
    def kernel(v, past, first, lagged, out):
        rank = v.shape[1]
        for b in range(len(v)):
            for r in range(rank):
                number, base = entry(v, b, r), r * lagged
                for k in range(0, lagged - LANES + 1, LANES):
                    store(out, b, base + k, scaled(number, load(past, b, first + k, LANES), zeros(out, LANES)))
                for k in range(lagged - lagged % LANES, lagged):
                    out[b, base + k] = number * past[b, first + k]
                out[b, rank * lagged + r] = number

    return kernel


@cache
def products_back() -> Any:
    """From d (B x R (X + 1)), the gradient of `products`: that of v to dv (B x R), that of the lags added to dpast."""

    @jit
    def kernel(d, v, past, first, lagged, dv, dpast):
        rank = v.shape[1]
        for b in range(len(v)):
            for r in range(rank):
                number, base, sum_ = entry(v, b, r), r * lagged, zeros(d, LANES)
                for k in range(0, lagged - LANES + 1, LANES):
                    part = load(d, b, base + k, LANES)
                    sum_ = multiplied(part, load(past, b, first + k, LANES), sum_)
                    store(dpast, b, first + k, scaled(number, part, load(dpast, b, first + k, LANES)))
                rest = total(sum_) + d[b, rank * lagged + r]
                for k in range(lagged - lagged % LANES, lagged):
                    rest += d[b, base + k] * past[b, first + k]
                    dpast[b, first + k] += number * d[b, base + k]
                dv[b, r] = rest

    return kernel


@cache
def gates() -> Any:
    """An LSTM's step: the gates take the place of z (B x 4 H, float32); c, tanh(c) and h (B x H each) are written."""

    @jit
    def kernel(z, c_before, c, tanh_c, past, first):
        hidden = c_before.shape[1]
        for b in range(len(z)):
            for k in range(0, hidden - LANES + 1, LANES):
                i, j = logistic(load(z, b, k, LANES)), tangent(load(z, b, hidden + k, LANES))
                f, o = logistic(load(z, b, 2 * hidden + k, LANES)), logistic(load(z, b, 3 * hidden + k, LANES))
                new_c = multiplied(i, j, product(f, load(c_before, b, k, LANES)))
                t = tangent(new_c)
                store(z, b, k, i)
                store(z, b, hidden + k, j)
                store(z, b, 2 * hidden + k, f)
                store(z, b, 3 * hidden + k, o)
                store(c, b, k, new_c)
                store(tanh_c, b, k, t)
                store(past, b, first + k, product(o, t))
            for k in range(hidden - hidden % LANES, hidden):
                for gate in (0, 2, 3):
                    z[b, gate * hidden + k] = 1 / (1 + math.exp(-z[b, gate * hidden + k]))
                z[b, hidden + k] = math.tanh(z[b, hidden + k])
                c[b, k] = z[b, 2 * hidden + k] * c_before[b, k] + z[b, k] * z[b, hidden + k]
                tanh_c[b, k] = math.tanh(c[b, k])
                past[b, first + k] = z[b, 3 * hidden + k] * tanh_c[b, k]

    return kernel


@cache
def gates_back() -> Any:
    """From the gradients of h and c (B x H each): that of z goes to dz (B x 4 H), that of the cell before to dc.

    gates (B x 4 H): the values of i, j, f, o. c_before, tanh_c (B x H): the cell before the step, and tanh of the one
    after it. The gradient of h lies in dpast from column `first` on.
    """

    @jit
    def kernel(gates, c_before, tanh_c, dpast, first, dc, dz):
        hidden = dc.shape[1]
        for b in range(len(dc)):
            for k in range(0, hidden - LANES + 1, LANES):
                i, j = load(gates, b, k, LANES), load(gates, b, hidden + k, LANES)
                f, o = load(gates, b, 2 * hidden + k, LANES), load(gates, b, 3 * hidden + k, LANES)
                dh, t = load(dpast, b, first + k, LANES), load(tanh_c, b, k, LANES)
                of_output, of_tanh = product(dh, t), product(dh, o)
                store(dz, b, 3 * hidden + k, product(of_output, subtracted(o, product(o, o))))
                through = subtracted(of_tanh, product(product(of_tanh, t), t))
                d = added(load(dc, b, k, LANES), through)
                store(dz, b, k, product(product(d, j), subtracted(i, product(i, i))))
                of_input = product(d, i)
                store(dz, b, hidden + k, subtracted(of_input, product(product(of_input, j), j)))
                store(
                    dz,
                    b,
                    2 * hidden + k,
                    product(product(d, load(c_before, b, k, LANES)), subtracted(f, product(f, f))),
                )
                store(dc, b, k, product(d, f))
            for k in range(hidden - hidden % LANES, hidden):
                i, j, f, o = gates[b, k], gates[b, hidden + k], gates[b, 2 * hidden + k], gates[b, 3 * hidden + k]
                dh, t = dpast[b, first + k], tanh_c[b, k]
                dz[b, 3 * hidden + k] = dh * t * (o - o * o)
                d = dc[b, k] + dh * o - dh * o * t * t
                dz[b, k] = d * j * (i - i * i)
                dz[b, hidden + k] = d * i - d * i * j * j
                dz[b, 2 * hidden + k] = d * c_before[b, k] * (f - f * f)
                dc[b, k] = d * f

    return kernel
