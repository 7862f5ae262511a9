"""The recurrence of the tensor-train cells, forward and backward through time, in few operations a step.

Shapes: B batch, T time, H hidden, L lags, X = L H lagged hidden states, S = X + 1 with the constant 1, G gates (4 H, or
H), R rank. All of time lies newest first, U for T, so that a step's lags are a slice of the hidden states; a core is
taken apart into the part that multiplies the lags and the one that multiplies the constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 2**22
"""Numbers of the states' products that stand in memory at a time while a core's gradient is summed."""


def recurrence(
    linear_BTG: Tensor, lags_BX: Tensor, c_BH: Tensor | None, cores: Sequence[Tensor], output: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """h_BTH, and the lags and c after the last step, of z_t = linear_t + W · s_t^{⊗P}, W a tensor train.

    linear: the input's part of z; lags, newest first; cores: core p is R_{p-1} x S x R_p, R_0 = 1, the last ending in
    G, or in the rows of `output` (R x G). With a c (B x H) z holds the gates i, j, f, o of an LSTM,
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(j), h_t = sigmoid(o) tanh(c_t); without one h_t = tanh(z).
    Contracted core by core, O(P R² S + R S G) a step; a core's gradient is one product over all steps.
    """
    found: tuple[Tensor, Tensor, Tensor | None] = _Recurrence.apply(  # type: ignore[no-untyped-call]
        linear_BTG, lags_BX, c_BH, output, *cores
    )
    return found


class _Recurrence(torch.autograd.Function):
    """By hand: autograd would keep, and come back to, every small operation of every step."""

    @staticmethod
    def forward(
        ctx: Any, linear_BTG: Tensor, lags_BX: Tensor, c_BH: Tensor | None, output: Tensor | None, *cores: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        (batch, steps, gates), lagged = linear_BTG.shape, lags_BX.shape[1]
        train, hidden = _Train(cores, output), gates if c_BH is None else c_BH.shape[1]
        past = torch.cat([lags_BX.new_empty(batch, steps * hidden), lags_BX], 1)
        z_UBG = linear_BTG.transpose(0, 1).flip(0)
        between = [z_UBG.new_empty(steps, batch, ends) for ends in train.inner]
        cells = tanhs = None
        if c_BH is not None:
            cells, tanhs = c_BH.new_empty(steps + 1, batch, hidden), c_BH.new_empty(steps, batch, hidden)
            cells[steps] = c_BH
        for u in reversed(range(steps)):
            z, h = z_UBG[u], past[:, u * hidden : (u + 1) * hidden]
            train.add_(z, past[:, (u + 1) * hidden : (u + 1) * hidden + lagged], [v[u] for v in between])
            if cells is None or tanhs is None:
                h.copy_(z.tanh_())
                continue
            i, j = z[:, :hidden].sigmoid_(), z[:, hidden : 2 * hidden].tanh_()
            f, o = z[:, 2 * hidden :].sigmoid_().chunk(2, 1)
            torch.mul(f, cells[u + 1], out=cells[u]).addcmul_(i, j)
            torch.mul(o, torch.tanh(cells[u], out=tanhs[u]), out=h)
        ctx.save_for_backward(past, z_UBG, cells, tanhs, output, *between, *cores)
        ctx.levels, ctx.lagged = len(between), lagged
        h_BTH = past[:, : steps * hidden].view(batch, steps, hidden).flip(1)
        return h_BTH, past[:, :lagged].clone(), None if cells is None else cells[0].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh_BTH: Tensor, dlags_BX: Tensor, dc_BH: Tensor | None) -> tuple[Tensor | None, ...]:
        past, z_UBG, cells, tanhs, output, *rest = ctx.saved_tensors
        between, cores = rest[: ctx.levels], rest[ctx.levels :]
        (batch, steps, hidden), lagged = dh_BTH.shape, ctx.lagged
        train = _Train(cores, output)
        dpast = torch.cat([dh_BTH.flip(1).flatten(1), torch.zeros_like(dlags_BX)], 1)
        dpast[:, :lagged] += dlags_BX
        dc = None if dc_BH is None else dc_BH.clone()
        # What a gate's change does to c and h, of all steps at once: the loop is left with four products.
        slopes = 1 - z_UBG.square() if dc is None else _slopes(z_UBG, cells, tanhs)
        dz_UBG, dbetween = torch.empty_like(z_UBG), [torch.empty_like(v) for v in between]
        for u in range(steps):
            dh, dz, slope = dpast[:, u * hidden : (u + 1) * hidden], dz_UBG[u], slopes[u]
            if dc is None:
                torch.mul(dh, slope, out=dz)
            else:
                dc.addcmul_(dh, slope[:, 4 * hidden :])
                inner, dinner = (one[:, : 3 * hidden].view(batch, 3, hidden) for one in (slope, dz))
                torch.mul(dc[:, None], inner, out=dinner)
                torch.mul(dh, slope[:, 3 * hidden : 4 * hidden], out=dz[:, 3 * hidden :])
                dc *= z_UBG[u, :, 2 * hidden : 3 * hidden]
            before = slice((u + 1) * hidden, (u + 1) * hidden + lagged)
            train.back(dz, past[:, before], [v[u] for v in between], [v[u] for v in dbetween], dpast[:, before])
        lags_UBX = past.as_strided((steps, batch, lagged), (hidden, past.shape[1], 1), hidden)
        dcores, doutput = train.gradients(lags_UBX, between, dbetween, dz_UBG)
        return dz_UBG.flip(0).transpose(0, 1), dpast[:, steps * hidden :], dc, doutput, *dcores


def _slopes(gates_UBG: Tensor, cells: Tensor, tanhs: Tensor) -> Tensor:
    """Derivatives of c by i, j and f, of h by o and by c, side by side: U x B x 5 H."""
    i, j, f, o = gates_UBG.chunk(4, 2)
    of_cell = [j * i * (1 - i), i * (1 - j.square()), cells[1:] * f * (1 - f)]
    return torch.cat([*of_cell, tanhs * o * (1 - o), o * (1 - tanhs.square())], 2)


class _Train:
    """Cores for one step at a time: each as a matrix for the products of lags (R X x R') and one for the 1 (R x R')."""

    def __init__(self, cores: Sequence[Tensor], output: Tensor | None) -> None:
        self.lags = [core[:, :-1].flatten(0, 1) for core in cores]
        self.ones = [core[:, -1] for core in cores]
        self.output = output

    @property
    def inner(self) -> list[int]:
        """The columns of what is kept between the cores, and before the output."""
        ends = [one.shape[1] for one in self.ones]
        return ends if self.output is not None else ends[:-1]

    def add_(self, z: Tensor, x: Tensor, between: Sequence[Tensor]) -> None:
        """Adds W · s^{⊗P} to z (B x G), for lags x (B x X); what is found between the cores goes to `between`."""
        v: Tensor | None = None
        for number, (lags, one) in enumerate(zip(self.lags, self.ones, strict=True)):
            inner = number < len(between)
            room = between[number] if inner else z
            if v is None:
                torch.addmm(one[0] if inner else room.add_(one[0]), x, lags, out=room)
            else:
                torch.addmm(room, v, one, beta=0 if inner else 1, out=room)
                room.addmm_(_products(v, x), lags)
            v = room
        if self.output is not None and v is not None:
            z.addmm_(v, self.output)

    def back(self, dz: Tensor, x: Tensor, between: Sequence[Tensor], dbetween: Sequence[Tensor], dx: Tensor) -> None:
        """Adds to dx (B x X) what dz (B x G) says of the lags; what it says between the cores goes to `dbetween`."""
        if self.output is not None:
            torch.mm(dz, self.output.T, out=dbetween[-1])
            dz = dbetween[-1]
        for number in reversed(range(1, len(self.lags))):
            v, dv = between[number - 1], dbetween[number - 1]
            products = (dz @ self.lags[number].T).view(*v.shape, x.shape[1])
            torch.mm(dz, self.ones[number].T, out=dv)
            dv += torch.bmm(products, x[:, :, None])[:, :, 0]
            dx += torch.bmm(v[:, None], products)[:, 0]
            dz = dv
        dx += dz @ self.lags[0].T

    def gradients(
        self, x_UBX: Tensor, between: Sequence[Tensor], dbetween: Sequence[Tensor], dz_UBG: Tensor
    ) -> tuple[list[Tensor], Tensor | None]:
        """The gradients of the cores and of the output, some steps at a time."""
        found, after = [], [*dbetween, dz_UBG]
        for number, (lags, one) in enumerate(zip(self.lags, self.ones, strict=True)):
            dlags, rank = torch.zeros_like(lags), len(one)
            steps = max(1, AT_ONCE // max(1, x_UBX[0].numel() * rank))
            dv = after[number]
            for first in range(0, len(x_UBX), steps):
                some = slice(first, first + steps)
                x = x_UBX[some].flatten(0, 1)
                dlags.addmm_(
                    (_products(between[number - 1][some].flatten(0, 1), x) if number else x).T, dv[some].flatten(0, 1)
                )
            dv = dv.flatten(0, 1)
            done = between[number - 1].flatten(0, 1).T @ dv if number else dv.sum(0, keepdim=True)
            found.append(torch.cat([dlags.view(rank, x_UBX.shape[2], -1), done[:, None]], 1))
        if self.output is None:
            return found, None
        return found, between[-1].flatten(0, 1).T @ dz_UBG.flatten(0, 1)


def _products(v_BR: Tensor, x_BX: Tensor) -> Tensor:
    """Every product of a column of v and one of x: B x R X."""
    return (v_BR[:, :, None] * x_BX[:, None, :]).flatten(1)
