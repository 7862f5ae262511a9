"""bag: how often each known word or character is in a text, whatever their order.

Shapes: B texts, V known words or characters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.encoders._encoder import Encoder, EncoderOptions
from polyadic.algorithms.tensor_regression.encoders._tokens import Tokens, vocabulary_of
from polyadic.distributed import World
from polyadic.readers.samples.columns import Column


@dataclass(frozen=True)
class Bags:
    """The known units of texts, counted when they are taken."""

    tokens: Tokens
    size: int
    scale: float

    @property
    def nbytes(self) -> int:
        """Of the numbers of the units."""
        return self.tokens.ids.nbytes + self.tokens.offsets.nbytes

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """The logarithm of 1 + count, scaled: B x V, float32."""
        owner, ids = self.tokens.taken(numbers)
        count = len(np.arange(len(self.tokens.offsets) - 1)[numbers])
        counts = np.bincount(owner * self.size + ids, minlength=count * self.size).reshape(count, self.size)
        return torch.from_numpy(np.log1p(counts).astype(np.float32) * np.float32(self.scale))


class Bag(Encoder):
    """log(1 + count) of each known unit, over the root mean square of all of them in the training texts.

    vocabulary: the known units. scale: one over that root mean square.
    """

    name = "bag"
    takes = ("text",)

    def __init__(self, vocabulary: Sequence[str], scale: float, options: EncoderOptions) -> None:
        self.vocabulary, self.scale, self.options = tuple(vocabulary), scale, options
        self.shape = (len(self.vocabulary),)
        self._numbers = {word: number for number, word in enumerate(self.vocabulary)}

    @classmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> Bag:
        """The most frequent units."""
        texts = cast(Sequence[str], column)
        words = vocabulary_of(texts, modality, options.text_unit, options.vocabulary_size, world)
        if not options.standardize:
            return cls(words, 1.0, options)
        tokens = cls(words, 1.0, options).prepare(texts).tokens
        owner = np.repeat(np.arange(len(texts)), tokens.lengths)
        _, counts = np.unique(owner * len(words) + tokens.ids, return_counts=True)
        sums = torch.tensor([float(np.square(np.log1p(counts)).sum()), float(len(texts) * len(words))]).double()
        squares, entries = world.sum_(sums.to(world.device)).tolist()
        return cls(words, math.sqrt(entries / squares), options)

    def prepare(self, column: Column) -> Bags:
        """The numbers of the known units of each text."""
        tokens = Tokens.of(cast(Sequence[str], column), self.options.text_unit, self._numbers)
        return Bags(tokens, len(self.vocabulary), self.scale)

    def unknown(self, column: Column) -> NDArray[np.bool_]:
        """Texts without a known unit."""
        return np.asarray(self.prepare(column).tokens.lengths == 0)

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """B x V, or beside other modalities a hidden layer of it: a question's words say more together than each."""
        if alone:
            return nn.Identity(), self.shape
        layer = nn.Linear(len(self.vocabulary), self.options.dimension)
        return nn.Sequential(layer, nn.ReLU()), (self.options.dimension,)

    def facts(self) -> dict[str, Any]:
        """The vocabulary and the scale."""
        return {"vocabulary": list(self.vocabulary), "scale": self.scale}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Bag:
        """The encoder of `facts`."""
        return cls(facts["vocabulary"], facts["scale"], options)


ENCODER = Bag
