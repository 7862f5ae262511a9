"""category: a text that is one of several names, as a vector with a 1 in its place.

Shapes: B samples, V names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.encoders._encoder import Encoder, EncoderOptions
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.readers.samples.columns import Column

MOST_NAMES = 100_000


@dataclass(frozen=True)
class Places:
    """The number of each sample's name, -1 for one that training did not see."""

    places_B: NDArray[np.int64]
    size: int

    @property
    def nbytes(self) -> int:
        """Of the numbers."""
        return self.places_B.nbytes

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """B x V, float32; a row of zeros for a name that training did not see."""
        places = self.places_B[numbers]
        rows = np.zeros((len(places), self.size), np.float32)
        rows[np.flatnonzero(places >= 0), places[places >= 0]] = 1
        return torch.from_numpy(rows)


class Category(Encoder):
    """One of the names that training saw."""

    name = "category"
    takes = ("text",)

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.shape = (len(self.names),)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> Category:
        """The names in the samples of all ranks."""
        names = sorted(set().union(*world.collect(set(cast(Sequence[str], column)))))
        if len(names) > MOST_NAMES:
            raise UserError(f"{modality} has {len(names):,} texts, too many for a category: encode it as a bag")
        return cls(names)

    def prepare(self, column: Column) -> Places:
        """The numbers of the names."""
        texts = cast(Sequence[str], column)
        return Places(np.array([self._numbers.get(text, -1) for text in texts], np.int64), len(self.names))

    def unknown(self, column: Column) -> NDArray[np.bool_]:
        """Names that training did not see."""
        return self.prepare(column).places_B < 0

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """The vector itself."""
        return nn.Identity(), self.shape

    def facts(self) -> dict[str, Any]:
        """The names."""
        return {"names": list(self.names)}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Category:
        """The encoder of `facts`."""
        return cls(facts["names"])


ENCODER = Category
