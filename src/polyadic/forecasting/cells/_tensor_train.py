"""What the cells share whose weight is a tensor train over several of the last hidden states.

Shapes: B batch, T time, D input, H hidden, L lags, X = L H lagged hidden states, S = X + 1 states with the constant 1,
G gates (a multiple of H), P cores, R rank.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from polyadic.forecasting.cells._cell import Cell
from polyadic.forecasting.cells._options import TensorTrainOptions
from polyadic.options import Options

TRAIN_SHARE = 0.3
"""The size of what an untrained train adds to z, as a share of what the matrix beside it adds."""


class TensorTrainCell(Cell):
    """z = W_x x_t + b + W · s_t^{⊗P}, s_t = [h_{t-1}; ...; h_{t-L}; 1], W (S x ... x S x G) a tensor train.

    Core p is R_{p-1} x S x R_p, where R_0 = 1 and the ranks between cores are R. The last core ends in G; with
    tt_output = core it ends in R, and one more matrix, R x G, follows.
    With tt_input = core the first factor is [x_t; s_t] instead of s_t, so that W has products of inputs and states
    too; in the TALSTM of the authors' code every factor is so. A train of one core without an output core takes no
    inputs, for W_x holds all that they could add.
    With tt_linear = matrix, W_h h_{t-1} is added to z, and W has only the higher terms left to learn.
    """

    options: ClassVar[type[Options]] = TensorTrainOptions
    gates: ClassVar[int]
    """G / H."""

    def __init__(self, input_size: int, hidden_size: int, options: TensorTrainOptions) -> None:
        super().__init__()
        self.hidden_size, self.lags = hidden_size, options.tt_lags
        gates, states, rank = self.gates * hidden_size, hidden_size * options.tt_lags + 1, options.tt_rank
        has_output = options.tt_output == "core"
        has_input = options.tt_input == "core" and (options.tt_order > 1 or has_output)
        self.input = nn.Linear(input_size, gates)
        ranks = [1, *[rank] * (options.tt_order - 1), rank if has_output else gates]
        self.cores = nn.ParameterList(torch.empty(before, states, after) for before, after in pairwise(ranks))
        self.output = nn.Parameter(torch.empty(rank, gates)) if has_output else None
        self.first = nn.Parameter(torch.empty(input_size, rank)) if has_input else None
        self.matrix = nn.Parameter(torch.empty(hidden_size, gates)) if options.tt_linear == "matrix" else None
        self._initialise()

    @classmethod
    def make(cls, input_size: int, hidden_size: int, options: TensorTrainOptions) -> Cell:
        """A cell for D = input_size inputs and H = hidden_size units."""
        return cls(input_size, hidden_size, options)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draws the linear terms as an LSTM's are drawn, and the higher terms small.

        Without a matrix the first channel of each core hands the constant 1 on, so that the first slice of the last
        core is the linear part of W. If all cores were noise, the recurrence would be a product of small numbers.
        Beside a matrix, which is the linear part, all cores are noise.
        """
        bound = 1 / math.sqrt(self.hidden_size)
        if self.matrix is not None:
            self.matrix.uniform_(-bound, bound)
            self._initialise_small()
            return
        for core in self.cores:
            core.normal_(std=0.1 / math.sqrt(core.shape[1]))
        for core in self.cores[:-1]:
            core[0, :, 0] = 0
            core[0, -1, 0] = 1
        self.cores[-1][0].uniform_(-bound, bound).div_(math.sqrt(self.lags))
        self.cores[-1][0, -1] = 0
        if self.output is not None:
            bound = math.sqrt(3 / len(self.output))  # The variance of a product with as many rows is kept.
            self.output.uniform_(-bound, bound)
        if self.first is not None:
            self.first.normal_(std=1 / math.sqrt(self.cores[0].shape[1]))
            self.first[:, 0] = 0

    def _initialise_small(self) -> None:
        for core in [*self.cores, *([] if self.first is None else [self.first])]:
            core.normal_(std=1 / math.sqrt(self.cores[0].shape[1]))
        if self.output is not None:
            self.output.normal_(std=TRAIN_SHARE / math.sqrt(len(self.output)))
        else:
            self.cores[-1].mul_(TRAIN_SHARE / math.sqrt(len(self.cores[-1])))

    def input_part(self, x_TBD: Tensor) -> Tensor | None:
        """What the inputs (T x B x D) add behind the first core: T x B x R, or None where they do not enter it."""
        return None if self.first is None else x_TBD @ self.first

    def dense_sum(self, x_BD: Tensor, lags_BX: Tensor) -> Tensor:
        """z (B x G) of a step, with W and the outer product formed in full; for the reference forms."""
        s_BS = torch.cat([lags_BX, lags_BX.new_ones(len(lags_BX), 1)], 1)
        weight, power = self.cores[0], s_BS
        if self.first is not None:
            weight, power = torch.cat([self.first[None], weight], 1), torch.cat([x_BD, s_BS], 1)
        for core in self.cores[1:]:
            weight = torch.tensordot(weight, core, 1)
            power = (power[:, :, None] * s_BS[:, None, :]).flatten(1)
        z: Tensor = self.input(x_BD) + power @ (weight if self.output is None else weight @ self.output).flatten(0, -2)
        return z if self.matrix is None else z + lags_BX[:, : self.hidden_size] @ self.matrix

    def shifted(self, lags_BX: Tensor, h_BH: Tensor) -> Tensor:
        """The lags (B x X) of the next step: the newest hidden state comes first, the oldest one is dropped."""
        return torch.cat([h_BH, lags_BX[:, : -self.hidden_size]], 1)

    def count(self) -> int:
        """sum_p R_{p-1} S R_p + G (D + 1); R G more for a core of the output, D R for the inputs', H G for a matrix."""
        cores: int = sum(math.prod(core.shape) for core in self.cores)
        ends = sum(end.numel() for end in (self.first, self.output, self.matrix) if end is not None)
        return cores + ends + self.gates * self.hidden_size * (self.input.in_features + 1)
