"""The factors of all modes in one array, from which the kernels of sparse tensors gather rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polyadic.tensor.kernels.padding import padded
from polyadic.tensor.tree import offsets


class Stack:
    """The factors (I_n x R) of a tensor of `shape` one above another, columns padded with zeros to whole registers."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape, self.start = tuple(shape), offsets(shape)
        self._rows = torch.empty(0, 0)
        self._copied: list[Tensor | None] = [None] * len(shape)

    def of(self, factors: Sequence[Tensor]) -> Tensor:
        """The stack of these factors: (I_1 + ... + I_N) x R, padded.

        Only factors that are other objects than at the last call are copied: none may be changed in place.
        """
        like, rank = factors[0], factors[0].shape[1]
        wanted = (sum(self.shape), padded(rank, like.dtype))
        if self._rows.shape != wanted or self._rows.dtype != like.dtype or self._rows.device != like.device:
            self._rows, self._copied = like.new_zeros(wanted), [None] * len(self.shape)
        for mode, factor in enumerate(factors):
            if self._copied[mode] is not factor:
                self._rows[self.start[mode] : self.start[mode] + len(factor), :rank] = factor
                self._copied[mode] = factor
        return self._rows

    def rows(self, mode: int) -> Tensor:
        """The rows of one mode's factor in the stack: I_n x R, padded. Whoever writes to them calls `written`."""
        return self._rows[self.start[mode] : self.start[mode] + self.shape[mode]]

    def written(self, mode: int, rank: int) -> Tensor:
        """The factor (I_n x R) that was written to the rows of its mode, as a view of them."""
        factor = self.rows(mode)[:, :rank]
        self._copied[mode] = factor
        return factor
