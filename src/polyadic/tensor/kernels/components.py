"""Samples times the columns of R components: what is left of each sample once some of its modes are contracted.

x is B x S x L x K, where S is R (each component has an array of its own) or 1 (all have the same); out[b, r] is the sum
of x[b, r] over K, or over L, with the weights f[r]. The innermost loops run along memory, which is where the compiler
makes them vectors: sums are in another order than they are written in.
"""

from __future__ import annotations

from polyadic.tensor.kernels.jit import jit_reordered


@jit_reordered
def without_right(x, f, out, begin, end):
    """out[b, r, l] = sum over k of x[b, r, l, k] f[r, k], for samples [begin, end)."""
    own = 1 if x.shape[1] > 1 else 0
    for b in range(begin, end):
        for line in range(x.shape[2]):
            for r in range(len(f)):
                total = x.dtype.type(0)
                for k in range(x.shape[3]):
                    total += x[b, r * own, line, k] * f[r, k]
                out[b, r, line] = total


@jit_reordered
def without_left(x, f, out, begin, end):
    """out[b, r, k] = sum over l of x[b, r, l, k] f[r, l], four lines at a time, for samples [begin, end)."""
    own, lines = 1 if x.shape[1] > 1 else 0, x.shape[2]
    for b in range(begin, end):
        for r in range(len(f)):
            for k in range(x.shape[3]):
                out[b, r, k] = 0
        for line in range(0, lines - 3, 4):
            for r in range(len(f)):
                top, s = f[r, line : line + 4], r * own
                for k in range(x.shape[3]):
                    out[b, r, k] += (
                        top[0] * x[b, s, line, k]
                        + top[1] * x[b, s, line + 1, k]
                        + top[2] * x[b, s, line + 2, k]
                        + top[3] * x[b, s, line + 3, k]
                    )
        for line in range(lines - lines % 4, lines):
            for r in range(len(f)):
                for k in range(x.shape[3]):
                    out[b, r, k] += f[r, line] * x[b, r * own, line, k]
