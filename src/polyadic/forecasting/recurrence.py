"""The recurrence of the tensor-train cells, forward and backward through time, in few operations per step.

Shapes: B batch, T time, H hidden, L lags, X = L H lagged hidden states, S = X + 1 with the constant 1, G gates (4 H, or
H), R rank. Hidden states lie newest first in `past` (B x T H + X), so that the lags of a step are a slice of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from polyadic.forecasting.recurrence_operations import Buffer, gates, gates_back
from polyadic.forecasting.recurrence_train import StepTrain


def recurrence(
    linear_TBG: Tensor,
    lags_BX: Tensor,
    c_BH: Tensor | None,
    cores: Sequence[Tensor],
    output: Tensor | None = None,
    first_TBR: Tensor | None = None,
    matrix_HG: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """All hidden states h (B x T x H), and the lags (B x X) and c (B x H) after the last step.

    z_t = linear_t + h_{t-1} M + W · s_t^{⊗P}, where s_t are the lags and the constant 1, and W is a tensor train.
    With c, z is split into the gates i, j, f, o of an LSTM: c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(j) and
    h_t = sigmoid(o) tanh(c_t). Without c, h_t = tanh(z_t), and None is answered for it.

    linear_TBG: the inputs' part of z; it may be written over. lags_BX: newest first. cores: core p is
    R_{p-1} x S x R_p with R_0 = 1; the last ends in G, or in R where `output` (R x G) follows. first_TBR: what the
    inputs add to the result of the first core, where more cores or an output follow it. matrix_HG: M.
    The cores are contracted one after the other, O(P R² S + R S G) operations per step; the gradient of a core is one
    matrix product over all steps.
    """
    first_TBR = None if first_TBR is None else first_TBR.to(lags_BX.dtype)
    # Small errors of the state would add up over the steps: its products stay in float32 where autocast is on.
    with torch.autocast(linear_TBG.device.type, enabled=False):
        outputs: tuple[Tensor, Tensor, Tensor | None] = _Recurrence.apply(  # type: ignore[no-untyped-call]
            linear_TBG.to(lags_BX.dtype).contiguous(), lags_BX, c_BH, output, first_TBR, matrix_HG, *cores
        )
    return outputs


class _Recurrence(torch.autograd.Function):
    """Differentiated by hand, because autograd would keep, and visit again, every small operation of every step."""

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
        train, hidden = StepTrain(cores, output), width if c_BH is None else c_BH.shape[1]
        past = torch.cat([lags_BX.new_empty(batch, steps * hidden), lags_BX], 1)
        channels = train.channels(z_TBG, first_TBR)
        cells = tanhs = None
        if c_BH is not None:
            cells, tanhs = c_BH.new_empty(steps + 1, batch, hidden), c_BH.new_empty(steps, batch, hidden)
            cells[0] = c_BH
        z_T, past_buffer = Buffer.steps(z_TBG), Buffer.of(past)
        channels_T = [Buffer.steps(channel) for channel in channels]
        cells_T, tanhs_T = _steps(cells), _steps(tanhs)
        states = train.states(batch, z_TBG)
        for t in range(steps):
            first = (steps - 1 - t) * hidden
            if matrix_HG is not None:
                z_T[t].tensor.addmm_(past[:, first + hidden : first + 2 * hidden], matrix_HG)
            now = [channel_T[t] for channel_T in channels_T]
            train.add_(z_T[t].tensor, past_buffer, first + hidden, lagged, now, states)
            if cells is None:
                past[:, first : first + hidden] = z_T[t].tensor.tanh_()
            else:
                arrays = z_T[t].array, cells_T[t].array, cells_T[t + 1].array, tanhs_T[t].array
                gates(*arrays, past_buffer.array, first)
        ctx.save_for_backward(past, z_TBG, cells, tanhs, output, matrix_HG, *channels, *cores)
        ctx.num_channels, ctx.lagged, ctx.has_first = len(channels), lagged, first_TBR is not None
        h_BTH = past[:, : steps * hidden].view(batch, steps, hidden).flip(1)
        return h_BTH, past[:, :lagged].clone(), None if cells is None else cells[steps].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh_BTH: Tensor, dlags_BX: Tensor, dc_BH: Tensor | None) -> tuple[Tensor | None, ...]:
        past, z_TBG, cells, tanhs, output, matrix_HG, *rest = ctx.saved_tensors
        channels, cores = rest[: ctx.num_channels], rest[ctx.num_channels :]
        (_, steps, hidden), lagged = dh_BTH.shape, ctx.lagged
        train = StepTrain(cores, output)
        dpast = torch.cat([dh_BTH.flip(1).flatten(1), torch.zeros_like(dlags_BX)], 1)
        dpast[:, :lagged] += dlags_BX
        dc = None if dc_BH is None else Buffer.of(dc_BH.clone(memory_format=torch.contiguous_format))
        dz_TBG, dchannels = torch.empty_like(z_TBG), [torch.empty_like(channel) for channel in channels]
        z_T, dz_T = Buffer.steps(z_TBG), Buffer.steps(dz_TBG)
        past_buffer, dpast_buffer = Buffer.of(past), Buffer.of(dpast)
        channels_T, dchannels_T = ([Buffer.steps(tensor) for tensor in tensors] for tensors in (channels, dchannels))
        cells_T, tanhs_T = _steps(cells), _steps(tanhs)
        states = train.states(len(past), z_TBG)
        for t in reversed(range(steps)):
            first = (steps - 1 - t) * hidden
            if dc is None:
                torch.mul(dpast[:, first : first + hidden], 1 - z_T[t].tensor.square(), out=dz_T[t].tensor)
            else:
                arrays = z_T[t].array, cells_T[t].array, tanhs_T[t].array
                gates_back(*arrays, dpast_buffer.array, first, dc.array, dz_T[t].array)
            if matrix_HG is not None:
                dpast[:, first + hidden : first + 2 * hidden].addmm_(dz_T[t].tensor, matrix_HG.T)
            now, dnow = ([tensor_T[t] for tensor_T in tensors] for tensors in (channels_T, dchannels_T))
            train.back(dz_T[t].tensor, past_buffer, first + hidden, lagged, now, dnow, dpast_buffer, states)
        dcores, doutput = train.gradients(past, hidden, lagged, channels, dchannels, dz_TBG)
        dfirst = dchannels[0] if ctx.has_first else None
        dmatrix = None if matrix_HG is None else _matrix_gradient(past, hidden, dz_TBG)
        dc_before = None if dc is None else dc.tensor
        return dz_TBG, dpast[:, steps * hidden :], dc_before, doutput, dfirst, dmatrix, *dcores


def _steps(tensor_T: Tensor | None) -> list[Buffer]:
    return [] if tensor_T is None else Buffer.steps(tensor_T)


def _matrix_gradient(past: Tensor, hidden: int, dz_TBG: Tensor) -> Tensor:
    """The gradient of M (H x G): one product over all steps of the hidden states before each and of dz."""
    steps = len(dz_TBG)
    before_BTH = past[:, hidden : (steps + 1) * hidden].view(-1, steps, hidden).flip(1)
    return before_BTH.transpose(0, 1).flatten(0, 1).T @ dz_TBG.flatten(0, 1)
