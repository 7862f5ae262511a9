"""raw: the numbers of a tensor or the pixels of a picture, centred and divided by their deviations.

Shapes: B samples, I_1 .. I_N the modes of a sample; of a picture height, width and, in colour, channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.encoders._encoder import Encoder, EncoderOptions
from polyadic.algorithms.tensor_regression.encoders._moments import moments
from polyadic.distributed import World
from polyadic.readers.samples.columns import Column, Pictures


@dataclass(frozen=True)
class Standardised:
    """Numbers, of which the mean is taken off and which are divided by the scales of their rows when they are taken.

    settled: whether that has been done once for all, in the column itself.
    """

    column: NDArray[Any] | Pictures
    mean: Tensor
    scales: tuple[Tensor, ...]
    settled: bool = False

    @property
    def nbytes(self) -> int:
        """Of the column."""
        return self.column.pixels.nbytes if isinstance(self.column, Pictures) else self.column.nbytes

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """B x I_1 x ... x I_N, float32; of settled ones a slice is no copy."""
        x = numbers_of(self.column, numbers)
        return x if self.settled else self._standardised(x - self.mean)

    def settle(self) -> Standardised:
        """The same, standardised in its own memory where that can be: the column is the numbers from now on."""
        if isinstance(self.column, Pictures) or self.column.dtype != np.float32 or not self.column.flags.writeable:
            return self
        self._standardised(torch.from_numpy(self.column).sub_(self.mean))
        return replace(self, settled=True)

    def _standardised(self, x: Tensor) -> Tensor:
        """Divides, in place, what the mean has been taken off."""
        for mode, scale in enumerate(self.scales):
            x /= scale.reshape(-1, *[1] * (self.mean.ndim - 1 - mode))
        return x


def numbers_of(column: Column, numbers: NDArray[np.int64] | slice) -> Tensor:
    """The numbers of some samples; of pixels from 0 to 1."""
    if isinstance(column, Pictures):
        return torch.from_numpy(column.pixels[column.index[numbers]]).float() / 255
    assert isinstance(column, np.ndarray)
    return torch.from_numpy(np.ascontiguousarray(column[numbers]))


class Raw(Encoder):
    """Numbers as they are, standardised: see `_moments.moments`."""

    name = "raw"
    takes = ("tensor", "picture")
    learned: ClassVar[bool] = False

    def __init__(self, mean: Tensor, scales: tuple[Tensor, ...], options: EncoderOptions) -> None:
        self.mean, self.scales, self.options = mean, scales, options
        self.shape = tuple(mean.shape)

    @classmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> Raw:
        """The mean of each entry and the scales of its rows; all places of a picture have one scale."""
        assert isinstance(column, np.ndarray | Pictures)
        shape = (column.pixels if isinstance(column, Pictures) else column).shape[1:]
        if not options.standardize:
            return cls(torch.zeros(shape), tuple(torch.ones(rows) for rows in shape), options)
        alike = 2 if isinstance(column, Pictures) else 0
        mean, scales = moments(lambda piece: numbers_of(column, piece), len(column), shape, world, alike)
        return cls(mean, tuple(scale.float() for scale in scales), options)

    def prepare(self, column: Column) -> Standardised:
        """The column itself, standardised when it is taken."""
        assert isinstance(column, np.ndarray | Pictures)
        return Standardised(column, self.mean, self.scales)

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """The numbers themselves; flat unless alone."""
        return (nn.Identity(), self.shape) if alone else (nn.Flatten(), (self.mean.numel(),))

    def facts(self) -> dict[str, Any]:
        """None."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """mean (I_1 x ... x I_N) and scale_0 (I_1) .."""
        return {"mean": self.mean} | {f"scale_{mode}": scale for mode, scale in enumerate(self.scales)}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Raw:
        """The encoder of `tensors`."""
        mean = tensors["mean"]
        return cls(mean, tuple(tensors[f"scale_{mode}"] for mode in range(mean.ndim)), options)


ENCODER = Raw
