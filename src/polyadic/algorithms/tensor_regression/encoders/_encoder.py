"""What an encoder is: what it learns of a column of the training data, and the numbers that it makes of a column.

Shapes: B samples of this rank; I_1 .. I_N the modes of a sample's numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from polyadic.distributed import World
from polyadic.readers.samples.columns import Column


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """What a job may set of encoders.

    dimension: the numbers that a learned encoder makes. channels: of a convolution. contraction: rows of each mode
    after a contraction, None for half of them.
    """

    standardize: bool = True
    text_unit: str = "words"
    vocabulary_size: int = 5000
    max_length: int = 64
    dimension: int = 32
    channels: int = 16
    contraction: tuple[int, ...] | None = None


class Prepared(Protocol):
    """A column as an encoder has it, of which the numbers of some samples can be taken."""

    @property
    def nbytes(self) -> int:
        """The memory that it holds."""

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """The numbers of some samples, B first."""


class Encoder(ABC):
    """What is known of one modality.

    name: the module's. takes: the kinds of column: tensor, picture, text. learned: whether it has weights that are
    trained by gradients, so that solver=als cannot have it. shape: of the numbers of a sample.
    """

    name: ClassVar[str]
    takes: ClassVar[tuple[str, ...]]
    learned: ClassVar[bool] = False
    shape: tuple[int, ...]

    @classmethod
    @abstractmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> Encoder:
        """What the training samples of all ranks tell: a collective. UserError for what it can make nothing of."""

    @abstractmethod
    def prepare(self, column: Column) -> Prepared:
        """A column of training, validation or a request, ready to be taken from."""

    @abstractmethod
    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """What gradients train: numbers (B x I_1 x ... x I_N) -> a tensor of each sample if `alone`, else a vector.

        With the shape of that. Its weights are drawn from torch's global generator.
        """

    def unknown(self, column: Column) -> NDArray[np.bool_]:
        """Which samples hold nothing that training saw."""
        return np.zeros(len(column), bool)

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What is known that is no tensor, as JSON."""

    def tensors(self) -> dict[str, Tensor]:
        """What is known that is tensors."""
        return {}

    @classmethod
    @abstractmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Encoder:
        """The encoder of `facts` and `tensors`."""
