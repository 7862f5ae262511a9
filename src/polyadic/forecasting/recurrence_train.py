"""A tensor train applied to the hidden states of a step, forward and backward.

Shapes: B batch, T time, H hidden, X lagged hidden states, S = X + 1 with the constant 1, G gates, R rank. Core p is
R_{p-1} x S x R_p. Hidden states lie newest first in `past` (B x W), and the lags of a step begin at its column `first`.
A channel is what one core hands to the next: T x B x R over all steps, B x R in one step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.forecasting.recurrence_operations import Buffer, products, products_back

CHUNK_NUMBERS = 2**19
"""How many products of states are in memory together while the gradient of a core is summed."""


class StepTrain:
    """The cores as matrices: the R X rows of the lags first, then the R rows of the constant.

    output (R x G): what follows the last core; None where that ends in G itself.
    """

    def __init__(self, cores: Sequence[Tensor], output: Tensor | None) -> None:
        self.cores, self.output = [torch.cat([core[:, :-1].flatten(0, 1), core[:, -1]]) for core in cores], output
        self.ranks = [len(core) for core in cores]

    def channels(self, z_TBG: Tensor, first_TBR: Tensor | None) -> list[Tensor]:
        """New tensors for the channels behind each core but the last, and before the output: T x B x R each.

        The first channel begins as what the first core makes of the constant 1, and as first_TBR, what it makes of the
        inputs; without a channel the constant is added to z.
        """
        cores = self.cores if self.output is not None else self.cores[:-1]
        channels = [z_TBG.new_empty(*z_TBG.shape[:2], core.shape[1]) for core in cores]
        if channels:
            channels[0][:] = self.cores[0][-1]
            if first_TBR is not None:
                channels[0] += first_TBR
        else:
            z_TBG += self.cores[0][-1]
        return channels

    def states(self, batch: int, like: Tensor) -> list[Buffer]:
        """Memory for the products of channel and states before each core but the first: B x rows of the core each."""
        return [Buffer.of(like.new_empty(batch, len(core))) for core in self.cores[1:]]

    def add_(
        self, z: Tensor, past: Buffer, first: int, lagged: int, channels: Sequence[Buffer], states: Sequence[Buffer]
    ) -> None:
        """Adds W · s^{⊗P} to z (B x G) for the lags of a step, and writes its channels (B x R each)."""
        (channels[0].tensor if channels else z).addmm_(past.tensor[:, first : first + lagged], self.cores[0][:-1])
        for number, (core, state) in enumerate(zip(self.cores[1:], states, strict=True), 1):
            products(channels[number - 1].array, past.array, first, lagged, state.array)
            if number < len(channels):
                torch.mm(state.tensor, core, out=channels[number].tensor)
            else:
                z.addmm_(state.tensor, core)
        if self.output is not None:
            z.addmm_(channels[-1].tensor, self.output)

    def back(
        self,
        dz: Tensor,
        past: Buffer,
        first: int,
        lagged: int,
        channels: Sequence[Buffer],
        dchannels: Sequence[Buffer],
        dpast: Buffer,
        states: Sequence[Buffer],
    ) -> None:
        """From dz (B x G) of a step: adds the gradient of the lags to dpast, writes that of each channel (B x R)."""
        if self.output is not None:
            dz = torch.mm(dz, self.output.T, out=dchannels[-1].tensor)
        for number in reversed(range(1, len(self.cores))):
            state, channel, dchannel = states[number - 1], channels[number - 1], dchannels[number - 1]
            torch.mm(dz, self.cores[number].T, out=state.tensor)
            products_back(state.array, channel.array, past.array, first, lagged, dchannel.array, dpast.array)
            dz = dchannel.tensor
        dpast.tensor[:, first : first + lagged].addmm_(dz, self.cores[0][:-1].T)

    def gradients(
        self,
        past: Tensor,
        hidden: int,
        lagged: int,
        channels: Sequence[Tensor],
        dchannels: Sequence[Tensor],
        dz_TBG: Tensor,
    ) -> tuple[list[Tensor], Tensor | None]:
        """The gradients of the cores (R_{p-1} x S x R_p each) and of the output (R x G), from those of all steps."""
        after_TB, channels_T = [*dchannels, dz_TBG], [Buffer.steps(channel) for channel in channels]
        gradients = []
        for number, (core, rank) in enumerate(zip(self.cores, self.ranks, strict=True)):
            before_T = channels_T[number - 1] if number else None
            dcore = _core_gradient(core, before_T, after_TB[number], past, hidden, lagged)
            lags, constant = dcore[: rank * lagged].view(rank, lagged, -1), dcore[rank * lagged :, None]
            gradients.append(torch.cat([lags, constant], 1))
        if self.output is None:
            return gradients, None
        return gradients, channels[-1].flatten(0, 1).T @ dz_TBG.flatten(0, 1)


def _core_gradient(
    core: Tensor, channel_T: Sequence[Buffer] | None, dafter_TBR: Tensor, past: Tensor, hidden: int, lagged: int
) -> Tensor:
    """The gradient of a core as a matrix, summed over chunks of steps; channel_T: what the core is given, 1 if None."""
    steps, batch, _ = dafter_TBR.shape
    dcore, chunk_steps, past_array = (
        torch.zeros_like(core),
        max(1, CHUNK_NUMBERS // (batch * len(core))),
        Buffer.of(past).array,
    )
    states = core.new_empty(min(steps, chunk_steps), batch, len(core))
    states_T, ones = Buffer.steps(states), Buffer.of(core.new_ones(batch, 1)).array
    for begin in range(0, steps, chunk_steps):
        end = min(steps, begin + chunk_steps)
        for t in range(begin, end):
            v = ones if channel_T is None else channel_T[t].array
            products(v, past_array, (steps - t) * hidden, lagged, states_T[t - begin].array)
        dcore.addmm_(states[: end - begin].flatten(0, 1).T, dafter_TBR[begin:end].flatten(0, 1))
    return dcore
