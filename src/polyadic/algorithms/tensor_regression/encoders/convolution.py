"""convolution: a picture through three small convolutions of low rank and a contraction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.encoders._encoder import Encoder, EncoderOptions
from polyadic.algorithms.tensor_regression.encoders._moments import moments
from polyadic.algorithms.tensor_regression.encoders.raw import numbers_of
from polyadic.distributed import World
from polyadic.readers.samples.columns import Column, Pictures
from polyadic.regression.layers.contraction import TensorContraction
from polyadic.regression.layers.convolution import TensorConvolution

GRID = 4
"""Rows and columns that are left of a picture."""


@dataclass(frozen=True)
class Channels:
    """Pixels by channel, each channel standardised when it is taken."""

    pictures: Pictures
    mean: Tensor
    deviation: Tensor

    @property
    def nbytes(self) -> int:
        """Of the pixels."""
        return self.pictures.pixels.nbytes

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """B x channels x height x width, float32."""
        x = by_channel(self.pictures, numbers)
        return ((x - self.mean[:, None, None]) / self.deviation[:, None, None]).contiguous()


def by_channel(pictures: Pictures, numbers: NDArray[np.int64] | slice) -> Tensor:
    """The pixels of some pictures, B x channels x height x width, from 0 to 1."""
    pixels = numbers_of(pictures, numbers)
    return pixels[:, None] if pixels.ndim == 3 else pixels.movedim(3, 1)


class Convolution(Encoder):
    """Three convolutions, the first two of stride 2, each with a kernel in CP form; then a contraction to 4 x 4.

    mean, deviation: of each channel.
    """

    name = "convolution"
    takes = ("picture",)
    learned = True

    def __init__(self, shape: tuple[int, ...], mean: Tensor, deviation: Tensor, options: EncoderOptions) -> None:
        self.shape, self.mean, self.deviation, self.options = shape, mean, deviation, options

    @classmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> Convolution:
        """The mean and the deviation of each channel."""
        assert isinstance(column, Pictures)
        height, width, *channels = column.pixels.shape[1:]
        count = channels[0] if channels else 1

        def pixels(piece: slice) -> Tensor:
            return by_channel(column, piece).movedim(1, 3).reshape(-1, count)

        shape = (count, height, width)
        if not options.standardize:
            return cls(shape, torch.zeros(count), torch.ones(count), options)
        mean, scales = moments(pixels, len(column), (count,), world)
        return cls(shape, mean, scales[0].float(), options)

    def prepare(self, column: Column) -> Channels:
        """The pictures, standardised when they are taken."""
        assert isinstance(column, Pictures)
        return Channels(column, self.mean, self.deviation)

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """B x channels x height x width -> B x channels' x 4 x 4, or a vector."""
        width = rank = self.options.channels
        sizes = [math.ceil(rows / 4) for rows in self.shape[1:]]
        grid = tuple(min(GRID, rows) for rows in sizes)
        layers: list[nn.Module] = [
            TensorConvolution(self.shape[0], width, rank, stride=2),
            nn.ReLU(),
            TensorConvolution(width, width, rank, stride=2),
            nn.ReLU(),
            TensorConvolution(width, width, rank),
            nn.ReLU(),
            TensorContraction((width, *sizes), (width, *grid)),
        ]
        if alone:
            return nn.Sequential(*layers), (width, *grid)
        numbers = width * math.prod(grid)
        ending = [nn.Flatten(), nn.LayerNorm(numbers), nn.Linear(numbers, self.options.dimension), nn.ReLU()]
        return nn.Sequential(*layers, *ending), (self.options.dimension,)

    def facts(self) -> dict[str, Any]:
        """The shape: channels, height, width."""
        return {"shape": list(self.shape)}

    def tensors(self) -> dict[str, Tensor]:
        """mean and deviation, one number for each channel."""
        return {"mean": self.mean, "deviation": self.deviation}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Convolution:
        """The encoder of `facts` and `tensors`."""
        return cls(tuple(facts["shape"]), tensors["mean"], tensors["deviation"], options)


ENCODER = Convolution
