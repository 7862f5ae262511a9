"""The operations between the matrix products of a recurrence's step: by kernels on a CPU, by torch elsewhere.

Shapes: B batch, X lagged hidden states, R rank, H hidden; `past` (B x W) holds hidden states newest first, and the lags
of the step begin at its column `first`. All operations write into arrays that they are given.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from polyadic.forecasting import recurrence_kernels

Array = Any
"""The numpy array over the memory of a tensor of a CPU, which the kernels take; elsewhere the tensor itself."""


class Buffer(NamedTuple):
    """A tensor, and the same memory as an `Array`, which is made once for all steps."""

    tensor: Tensor
    array: Array

    @staticmethod
    def of(tensor: Tensor) -> Buffer:
        """The buffer of a tensor of any shape."""
        return Buffer(tensor, tensor.numpy() if tensor.device.type == "cpu" else tensor)

    @staticmethod
    def steps(tensor_T: Tensor) -> list[Buffer]:
        """One buffer per step of a tensor whose first dimension is time."""
        return [Buffer(*pair) for pair in zip(tensor_T.unbind(0), Buffer.of(tensor_T).array, strict=True)]


def products(v: Array, past: Array, first: int, lagged: int, out: Array) -> None:
    """To out (B x R (X + 1)): every product of an entry of v (B x R) and a lag, the lags fastest; then v itself.

    lagged: X.
    """
    if isinstance(v, np.ndarray):
        recurrence_kernels.products()(v, past, first, lagged, out)
        return
    columns = v.shape[1] * lagged
    torch.mul(v[:, :, None], past[:, None, first : first + lagged], out=out[:, :columns].view(*v.shape, lagged))
    out[:, columns:] = v


def products_back(d: Array, v: Array, past: Array, first: int, lagged: int, dv: Array, dpast: Array) -> None:
    """From d (B x R (X + 1)), the gradient of `products`, that of v, which is written to dv (B x R), and of the lags.

    The gradient of the lags is added to dpast (B x W). lagged: X.
    """
    if isinstance(v, np.ndarray):
        recurrence_kernels.products_back()(d, v, past, first, lagged, dv, dpast)
        return
    columns, step = v.shape[1] * lagged, slice(first, first + lagged)
    dproducts = d[:, :columns].view(*v.shape, lagged)
    torch.add(torch.bmm(dproducts, past[:, step, None])[:, :, 0], d[:, columns:], out=dv)
    dpast[:, step] += torch.bmm(v[:, None], dproducts)[:, 0]


def gates(z: Array, c_before: Array, c: Array, tanh_c: Array, past: Array, first: int) -> None:
    """An LSTM's step: the gates i, j, f, o take the place of z (B x 4 H); c, tanh(c) and h (B x H each) are written.

    c_before (B x H): the cell before the step. h is written to the columns of past from `first` on.
    """
    if isinstance(z, np.ndarray) and z.dtype == np.float32:
        recurrence_kernels.gates()(z, c_before, c, tanh_c, past, first)
        return
    # The kernel is for float32 alone.
    z, c_before, c, tanh_c, past = (torch.as_tensor(array) for array in (z, c_before, c, tanh_c, past))
    hidden = c_before.shape[1]
    i, j = z[:, :hidden].sigmoid_(), z[:, hidden : 2 * hidden].tanh_()
    f, o = z[:, 2 * hidden :].sigmoid_().chunk(2, 1)
    torch.mul(f, c_before, out=c).addcmul_(i, j)
    torch.mul(o, torch.tanh(c, out=tanh_c), out=past[:, first : first + hidden])


def gates_back(gates: Array, c_before: Array, tanh_c: Array, dpast: Array, first: int, dc: Array, dz: Array) -> None:
    """From the gradients of h and c (B x H each) those of z, written to dz (B x 4 H), and of the cell before, to dc.

    gates (B x 4 H): the values of i, j, f, o. c_before, tanh_c (B x H): the cell before the step, and tanh of the one
    after it. The gradient of h lies in dpast from column `first` on.
    """
    if isinstance(dc, np.ndarray):
        recurrence_kernels.gates_back()(gates, c_before, tanh_c, dpast, first, dc, dz)
        return
    i, j, f, o = gates.chunk(4, 1)
    dh = dpast[:, first : first + dc.shape[1]]
    dc += dh * o * (1 - tanh_c.square())
    parts = [dc * j * i * (1 - i), dc * i * (1 - j.square()), dc * c_before * f * (1 - f), dh * tanh_c * o * (1 - o)]
    torch.cat(parts, 1, out=dz)
    dc *= f
