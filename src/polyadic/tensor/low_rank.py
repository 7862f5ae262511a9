"""What every tensor of few numbers can be asked, whichever decomposition it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LowRank(Protocol):
    """A tensor I_1 x ... x I_N in few numbers: CPTensor, TuckerTensor and TensorTrain are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """I_1, ..., I_N."""

    def at(self, index: Tensor) -> Tensor:
        """The entries at B indices (B x N, integers from 0): B."""

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The entries at fixed rows of some modes.

        index: one row per mode, or None for all rows of it. The result has the modes that are None, in their order.
        """

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that B new slabs along `mode` would have, by least squares, and the relative residuals: B x R, B.

        slabs: B x (the other modes, in their order), NaN where an entry was not observed. R: the numbers that describe
        a row of the mode. A residual is |slab - model| / |slab| over the observed entries.
        """
