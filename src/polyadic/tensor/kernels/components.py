"""Samples times the columns of R components: what is left of each sample once some of its modes are contracted.

x is B x S x L x K, where S is R (each component has an array of its own) or 1 (all have the same); out[b, r] is the sum
of x[b, r] over K, or over L, with the weights f[r]. The innermost loops run along memory, which is where the compiler
makes them vectors: sums are in another order than they are written in.
"""

from __future__ import annotations

from polyadic.tensor.kernels.jit import jit_reordered


@jit_reordered
def without_right(x, f, out, begin, end):
    """out[b, r, l] = sum over k of x[b, r, l, k] f[r, k], four lines at a time, for samples [begin, end)."""
    own, lines = 1 if x.shape[1] > 1 else 0, x.shape[2]
    for b in range(begin, end):
        for line in range(0, lines - 3, 4):
            for r in range(len(f)):
                s, zero = r * own, x.dtype.type(0)
                one, two, three, four = zero, zero, zero, zero
                for k in range(x.shape[3]):
                    one += x[b, s, line, k] * f[r, k]
                    two += x[b, s, line + 1, k] * f[r, k]
                    three += x[b, s, line + 2, k] * f[r, k]
                    four += x[b, s, line + 3, k] * f[r, k]
                out[b, r, line], out[b, r, line + 1], out[b, r, line + 2], out[b, r, line + 3] = one, two, three, four
        for line in range(lines - lines % 4, lines):
            for r in range(len(f)):
                total = x.dtype.type(0)
                for k in range(x.shape[3]):
                    total += x[b, r * own, line, k] * f[r, k]
                out[b, r, line] = total


@jit_reordered
def without_left(x, f, out, begin, end):
    """out[b, r, k] = sum over l of x[b, r, l, k] f[r, l], eight lines at a time, for samples [begin, end)."""
    own, lines = 1 if x.shape[1] > 1 else 0, x.shape[2]
    for b in range(begin, end):
        for r in range(len(f)):
            for k in range(x.shape[3]):
                out[b, r, k] = 0
        for line in range(0, lines - 7, 8):
            for r in range(len(f)):
                w, s = f[r, line : line + 8], r * own
                for k in range(x.shape[3]):
                    out[b, r, k] += (
                        (w[0] * x[b, s, line, k] + w[1] * x[b, s, line + 1, k])
                        + (w[2] * x[b, s, line + 2, k] + w[3] * x[b, s, line + 3, k])
                    ) + (
                        (w[4] * x[b, s, line + 4, k] + w[5] * x[b, s, line + 5, k])
                        + (w[6] * x[b, s, line + 6, k] + w[7] * x[b, s, line + 7, k])
                    )
        for line in range(lines - lines % 8, lines):
            for r in range(len(f)):
                for k in range(x.shape[3]):
                    out[b, r, k] += f[r, line] * x[b, r * own, line, k]
