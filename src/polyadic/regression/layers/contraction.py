"""A layer that makes each mode of its samples smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polyadic.errors import UserError
from polyadic.tensor.arguments import shape_of


class TensorContraction(nn.Module):
    """The tensor contraction layer: y_b = x_b ×_1 V^(1) ... ×_N V^(N).

    shape: I_1 .. I_N of a sample. sizes: J_1 .. J_N, J_n <= I_n. Input B x I_1 x ... x I_N, output B x J_1 x ... x J_N.
    factor_n: J_n x I_n, drawn so that of inputs of deviation 1 the outputs have deviation 1; a mode with J_n = I_n has
    one too. Raises UserError for another number of sizes, or sizes beyond those of the shape.
    Kossaifi et al., Tensor regression networks, JMLR 21, 2020, section 3.1.
    """

    def __init__(self, shape: Sequence[int], sizes: Sequence[int]) -> None:
        super().__init__()
        shape, sizes = shape_of(shape), shape_of(sizes, "sizes")
        if len(shape) != len(sizes) or not all(1 <= size <= rows for size, rows in zip(sizes, shape, strict=True)):
            raise UserError(f"sizes are {list(sizes)}: give one for each mode of {list(shape)}, 1 to its rows")
        self.shape, self.sizes = tuple(shape), tuple(sizes)
        self.factors = nn.ParameterList(
            nn.Parameter(torch.randn(size, rows) / math.sqrt(rows)) for size, rows in zip(sizes, shape, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """One mode after the other, first those that become smallest."""
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(
                f"samples have shape {tuple(x.shape)}: this layer takes B x {' x '.join(map(str, self.shape))}"
            )
        order = sorted(range(len(self.shape)), key=lambda mode: self.sizes[mode] / self.shape[mode])
        for mode in order:
            x = torch.tensordot(x, self.factors[mode], dims=([mode + 1], [1])).movedim(-1, mode + 1)
        return x

    def reference(self, x: Tensor) -> Tensor:
        """The same by the Kronecker product of the factors, which is formed."""
        whole = self.factors[0]
        for factor in list(self.factors)[1:]:
            whole = torch.kron(whole, factor)
        contracted: Tensor = x.flatten(1) @ whole.T
        return contracted.reshape(-1, *self.sizes)
