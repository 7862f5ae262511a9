"""The recurrence of the tensor-train cells, forward and backward through time, in few operations a step.

Shapes: B batch, T time, H hidden, L lags, X = L H lagged hidden states, S = X + 1 with the constant 1, G gates (4 H, or
H), R rank. Hidden states lie newest first in `past` (B x T H + X), so that a step's lags are a slice of it; a core is
taken apart into the rows of the lags and those of the constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from polyadic.forecasting import recurrence_kernels

Array = Any
"""What stands between the products takes the memory of a tensor of a CPU, where kernels are for it, else the tensor."""
AT_ONCE = 2**19
"""Numbers of the states' products that stand in memory at a time while a core's gradient is summed."""


def recurrence(
    linear_TBG: Tensor,
    lags_BX: Tensor,
    c_BH: Tensor | None,
    cores: Sequence[Tensor],
    output: Tensor | None = None,
    first_TBR: Tensor | None = None,
    matrix_HG: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """h_BTH, and the lags and c after the last step, of z_t = linear_t + h_{t-1} M + W · s_t^{⊗P}, W a tensor train.

    linear: the input's part of z, time first, which is written over; lags, newest first; cores: core p is
    R_{p-1} x S x R_p, R_0 = 1, the last ending in G, or in the rows of `output` (R x G); first: what the input adds to
    what the first core makes of s_t, where more follows it. With a c (B x H) z holds the
    gates i, j, f, o of an LSTM, c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(j), h_t = sigmoid(o) tanh(c_t); without one
    h_t = tanh(z). Contracted core by core, O(P R² S + R S G) a step; a core's gradient is one product over all steps.
    """
    first_TBR = None if first_TBR is None else first_TBR.to(lags_BX.dtype)
    # Small errors of the state would add up over the steps: its products stay in float32 where autocast is on.
    with torch.autocast(linear_TBG.device.type, enabled=False):
        found: tuple[Tensor, Tensor, Tensor | None] = _Recurrence.apply(  # type: ignore[no-untyped-call]
            linear_TBG.to(lags_BX.dtype).contiguous(), lags_BX, c_BH, output, first_TBR, matrix_HG, *cores
        )
    return found


class Held(NamedTuple):
    """A tensor, and its memory as `Array` has it: taken once for all steps."""

    tensor: Tensor
    array: Array

    @staticmethod
    def of(tensor: Tensor) -> Held:
        """The two."""
        return Held(tensor, tensor.numpy() if tensor.device.type == "cpu" else tensor)

    @staticmethod
    def steps(tensor_T: Tensor) -> list[Held]:
        """The two of every step, time being the first dimension."""
        return [Held(*both) for both in zip(tensor_T.unbind(0), Held.of(tensor_T).array, strict=True)]


class _Recurrence(torch.autograd.Function):
    """By hand: autograd would keep, and come back to, every small operation of every step."""

    @staticmethod
    def forward(
        ctx: Any,
        z_TBG: Tensor,
        lags_BX: Tensor,
        c_BH: Tensor | None,
        output: Tensor | None,
        first_TBR: Tensor | None,
        matrix_HG: Tensor | None,
        *cores: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        (steps, batch, width), lagged = z_TBG.shape, lags_BX.shape[1]
        train, hidden = _Train(cores, output), width if c_BH is None else c_BH.shape[1]
        past = torch.cat([lags_BX.new_empty(batch, steps * hidden), lags_BX], 1)
        between = train.rooms(z_TBG, first_TBR)
        cells = tanhs = None
        if c_BH is not None:
            cells, tanhs = c_BH.new_empty(steps + 1, batch, hidden), c_BH.new_empty(steps, batch, hidden)
            cells[0] = c_BH
        z_T, past_, between_T = Held.steps(z_TBG), Held.of(past), [Held.steps(v) for v in between]
        cells_T, tanhs_T = ([] if one is None else Held.steps(one) for one in (cells, tanhs))
        states = train.states(batch, z_TBG)
        for t in range(steps):
            first = (steps - 1 - t) * hidden
            if matrix_HG is not None:
                z_T[t].tensor.addmm_(past[:, first + hidden : first + 2 * hidden], matrix_HG)
            train.add_(z_T[t].tensor, past_, first + hidden, lagged, [v[t] for v in between_T], states)
            if cells is None:
                past[:, first : first + hidden] = z_T[t].tensor.tanh_()
            else:
                here = z_T[t].array, cells_T[t].array, cells_T[t + 1].array, tanhs_T[t].array
                gates(*here, past_.array, first)
        ctx.save_for_backward(past, z_TBG, cells, tanhs, output, matrix_HG, *between, *cores)
        ctx.levels, ctx.lagged, ctx.first = len(between), lagged, first_TBR is not None
        h_BTH = past[:, : steps * hidden].view(batch, steps, hidden).flip(1)
        return h_BTH, past[:, :lagged].clone(), None if cells is None else cells[steps].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh_BTH: Tensor, dlags_BX: Tensor, dc_BH: Tensor | None) -> tuple[Tensor | None, ...]:
        past, z_TBG, cells, tanhs, output, matrix_HG, *rest = ctx.saved_tensors
        between, cores = rest[: ctx.levels], rest[ctx.levels :]
        (_, steps, hidden), lagged = dh_BTH.shape, ctx.lagged
        train = _Train(cores, output)
        dpast = torch.cat([dh_BTH.flip(1).flatten(1), torch.zeros_like(dlags_BX)], 1)
        dpast[:, :lagged] += dlags_BX
        dc = None if dc_BH is None else dc_BH.clone(memory_format=torch.contiguous_format)
        dz_TBG, dbetween = torch.empty_like(z_TBG), [torch.empty_like(v) for v in between]
        z_T, dz_T, past_, dpast_ = Held.steps(z_TBG), Held.steps(dz_TBG), Held.of(past), Held.of(dpast)
        between_T, dbetween_T = ([Held.steps(v) for v in some] for some in (between, dbetween))
        cells_T, tanhs_T = ([] if one is None else Held.steps(one) for one in (cells, tanhs))
        dc_ = None if dc is None else Held.of(dc)
        states = train.states(len(past), z_TBG)
        for t in reversed(range(steps)):
            first = (steps - 1 - t) * hidden
            if dc_ is None:
                torch.mul(dpast[:, first : first + hidden], 1 - z_T[t].tensor.square(), out=dz_T[t].tensor)
            else:
                here = z_T[t].array, cells_T[t].array, tanhs_T[t].array
                gates_back(*here, dpast_.array, first, dc_.array, dz_T[t].array)
            if matrix_HG is not None:
                dpast[:, first + hidden : first + 2 * hidden].addmm_(dz_T[t].tensor, matrix_HG.T)
            through, back = [v[t] for v in between_T], [v[t] for v in dbetween_T]
            train.back(dz_T[t].tensor, past_, first + hidden, lagged, through, back, dpast_, states)
        dcores, doutput = train.gradients(past, hidden, lagged, between, dbetween, dz_TBG)
        dfirst, dmatrix = dbetween[0] if ctx.first else None, None
        if matrix_HG is not None:
            before_BTH = past[:, hidden : (steps + 1) * hidden].view(-1, steps, hidden).flip(1)
            dmatrix = before_BTH.transpose(0, 1).flatten(0, 1).T @ dz_TBG.flatten(0, 1)
        return dz_TBG, dpast[:, steps * hidden :], dc, doutput, dfirst, dmatrix, *dcores


class _Train:
    """Cores for a step at a time, each as a matrix: the R X rows of its lags, and below them the R of the constant."""

    def __init__(self, cores: Sequence[Tensor], output: Tensor | None) -> None:
        self.cores, self.output = [torch.cat([core[:, :-1].flatten(0, 1), core[:, -1]]) for core in cores], output
        self.ranks = [len(core) for core in cores]

    def rooms(self, z_TBG: Tensor, first_TBR: Tensor | None) -> list[Tensor]:
        """Room for what comes between the cores, and before the output (T x B x R each).

        What the first core makes of the constant 1, and of the input, stands there already.
        """
        kept = self.cores if self.output is not None else self.cores[:-1]
        rooms = [z_TBG.new_empty(*z_TBG.shape[:2], core.shape[1]) for core in kept]
        if rooms:
            rooms[0][:] = self.cores[0][-1]
            if first_TBR is not None:
                rooms[0] += first_TBR
        else:
            z_TBG += self.cores[0][-1]
        return rooms

    def states(self, batch: int, like: Tensor) -> list[Held]:
        """Room for the products of all states that come before each core but the first (B x rows of the core)."""
        return [Held.of(like.new_empty(batch, len(core))) for core in self.cores[1:]]

    def add_(
        self, z: Tensor, past: Held, first: int, lagged: int, between: Sequence[Held], states: Sequence[Held]
    ) -> None:
        """Adds W · s^{⊗P} to z (B x G), for the lags at `first`; what is found between the cores goes to `between`."""
        (between[0].tensor if between else z).addmm_(past.tensor[:, first : first + lagged], self.cores[0][:-1])
        for number, (core, room) in enumerate(zip(self.cores[1:], states, strict=True), 1):
            products(between[number - 1].array, past.array, first, lagged, room.array)
            if number < len(between):
                torch.mm(room.tensor, core, out=between[number].tensor)
            else:
                z.addmm_(room.tensor, core)
        if self.output is not None:
            z.addmm_(between[-1].tensor, self.output)

    def back(
        self,
        dz: Tensor,
        past: Held,
        first: int,
        lagged: int,
        between: Sequence[Held],
        dbetween: Sequence[Held],
        dpast: Held,
        states: Sequence[Held],
    ) -> None:
        """Adds to dpast what dz (B x G) says of the lags; what it says between the cores goes to `dbetween`."""
        if self.output is not None:
            dz = torch.mm(dz, self.output.T, out=dbetween[-1].tensor)
        for number in reversed(range(1, len(self.cores))):
            room, through, back = states[number - 1], between[number - 1], dbetween[number - 1]
            torch.mm(dz, self.cores[number].T, out=room.tensor)
            products_back(room.array, through.array, past.array, first, lagged, back.array, dpast.array)
            dz = back.tensor
        dpast.tensor[:, first : first + lagged].addmm_(dz, self.cores[0][:-1].T)

    def gradients(
        self,
        past: Tensor,
        hidden: int,
        lagged: int,
        between: Sequence[Tensor],
        dbetween: Sequence[Tensor],
        dz_TBG: Tensor,
    ) -> tuple[list[Tensor], Tensor | None]:
        """The gradients of the cores and of the output, some steps at a time."""
        (steps, batch, _), found, after = dz_TBG.shape, [], [*dbetween, dz_TBG]
        past_, between_T = Held.of(past).array, [Held.steps(v) for v in between]
        for number, (core, rank) in enumerate(zip(self.cores, self.ranks, strict=True)):
            dcore, at_once = torch.zeros_like(core), max(1, AT_ONCE // (batch * len(core)))
            room, ones = core.new_empty(min(steps, at_once), batch, len(core)), Held.of(core.new_ones(batch, 1)).array
            room_T = Held.steps(room)
            for first in range(0, steps, at_once):
                last = min(steps, first + at_once)
                for t in range(first, last):
                    v = between_T[number - 1][t].array if number else ones
                    products(v, past_, (steps - t) * hidden, lagged, room_T[t - first].array)
                states, dv = room[: last - first].flatten(0, 1), after[number][first:last].flatten(0, 1)
                dcore.addmm_(states.T, dv)
            lags, one = dcore[: rank * lagged].view(rank, lagged, -1), dcore[rank * lagged :, None]
            found.append(torch.cat([lags, one], 1))
        if self.output is None:
            return found, None
        return found, between[-1].flatten(0, 1).T @ dz_TBG.flatten(0, 1)


def products(v: Array, past: Array, first: int, lagged: int, out: Array) -> None:
    """out (B x R (X + 1)): every product of a number of v (B x R) and a lag, the lags fastest; then v itself."""
    if isinstance(v, np.ndarray):
        recurrence_kernels.products()(v, past, first, lagged, out)
        return
    wide = v.shape[1] * lagged
    torch.mul(v[:, :, None], past[:, None, first : first + lagged], out=out[:, :wide].view(*v.shape, lagged))
    out[:, wide:] = v


def products_back(d: Array, v: Array, past: Array, first: int, lagged: int, dv: Array, dpast: Array) -> None:
    """What d, the gradient of `products`, says of v, to dv (B x R), and of the lags, added to dpast."""
    if isinstance(v, np.ndarray):
        recurrence_kernels.products_back()(d, v, past, first, lagged, dv, dpast)
        return
    wide, behind = v.shape[1] * lagged, slice(first, first + lagged)
    lags = d[:, :wide].view(*v.shape, lagged)
    torch.add(torch.bmm(lags, past[:, behind, None])[:, :, 0], d[:, wide:], out=dv)
    dpast[:, behind] += torch.bmm(v[:, None], lags)[:, 0]


def gates(z: Array, before: Array, after: Array, squashed: Array, past: Array, first: int) -> None:
    """From z (B x 4 H) the gates i, j, f, o in its place; the next cell and its tanh (B x H), h at `first` of past."""
    if isinstance(z, np.ndarray) and z.dtype == np.float32:
        recurrence_kernels.gates()(z, before, after, squashed, past, first)
        return
    # There is a kernel of float32 alone.
    z, before, after, squashed, past = (torch.as_tensor(one) for one in (z, before, after, squashed, past))
    hidden = before.shape[1]
    i, j = z[:, :hidden].sigmoid_(), z[:, hidden : 2 * hidden].tanh_()
    f, o = z[:, 2 * hidden :].sigmoid_().chunk(2, 1)
    torch.mul(f, before, out=after).addcmul_(i, j)
    torch.mul(o, torch.tanh(after, out=squashed), out=past[:, first : first + hidden])


def gates_back(opened: Array, before: Array, squashed: Array, dpast: Array, first: int, dc: Array, dz: Array) -> None:
    """What dh, at `first` of dpast, and dc (B x H) say of the gates, to dz (B x 4 H); dc becomes the cell before's.

    opened (B x 4 H): the gates' values; before and squashed (B x H): the cell before the step, tanh of the one after.
    """
    if isinstance(dc, np.ndarray):
        recurrence_kernels.gates_back()(opened, before, squashed, dpast, first, dc, dz)
        return
    i, j, f, o = opened.chunk(4, 1)
    dh = dpast[:, first : first + dc.shape[1]]
    dc += dh * o * (1 - squashed.square())
    parts = [dc * j * i * (1 - i), dc * i * (1 - j.square()), dc * before * f * (1 - f), dh * squashed * o * (1 - o)]
    torch.cat(parts, 1, out=dz)
    dc *= f
