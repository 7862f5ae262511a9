"""contraction: a tensor, of which every mode is made smaller by a learned matrix."""

from __future__ import annotations

from torch import nn

from polyadic.algorithms.tensor_regression.encoders.raw import Raw
from polyadic.errors import UserError
from polyadic.regression.layers.contraction import TensorContraction


class Contraction(Raw):
    """A tensor contraction layer over standardised numbers; beside other modalities its tensor is made a vector."""

    name = "contraction"
    learned = True

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """B x I_1 x ... x I_N -> B x J_1 x ... x J_N, or flat."""
        sizes = self.options.contraction or tuple(max(1, rows // 2) for rows in self.shape)
        if len(sizes) != len(self.shape) or any(size > rows for size, rows in zip(sizes, self.shape, strict=False)):
            raise UserError(f"contraction is {list(sizes)}: give for each mode of {list(self.shape)} its rows or fewer")
        layer = TensorContraction(self.shape, sizes)
        if alone:
            return layer, tuple(sizes)
        return nn.Sequential(layer, nn.Flatten()), (layer(self.mean[None]).numel(),)


ENCODER = Contraction
