"""tt-lstm: a text word by word, or character by character, through the forecaster's tensor-train cell.

Shapes: B texts, T units of the longest of them, V known units, H numbers that are made of a text.
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
from polyadic.algorithms.tensor_regression.encoders._tokens import Tokens, vocabulary_of
from polyadic.distributed import World
from polyadic.forecasting.cells import CELLS
from polyadic.readers.samples.columns import Column


@dataclass(frozen=True)
class Sequences:
    """The known units of texts, counted from 1; 0 fills what is after the last of a shorter text."""

    tokens: Tokens
    most: int

    @property
    def nbytes(self) -> int:
        """Of the numbers of the units."""
        return self.tokens.ids.nbytes + self.tokens.offsets.nbytes

    def take(self, numbers: NDArray[np.int64] | slice) -> Tensor:
        """The first T units of each text, T that of the longest, `most` at most: B x T, int64."""
        owner, ids = self.tokens.taken(numbers)
        lengths = self.tokens.lengths[np.arange(len(self.tokens.offsets) - 1)[numbers]]
        width = int(min(max(lengths.max(initial=0), 1), self.most))
        place = np.arange(len(owner)) - (np.cumsum(lengths) - lengths)[owner]
        rows = np.zeros((len(lengths), width), np.int64)
        rows[owner[place < width], place[place < width]] = ids[place < width] + 1
        return torch.from_numpy(rows)


class _Reader(nn.Module):
    """Embedded units through a cell: B x T -> B x H, the hidden state after the last unit of each text."""

    def __init__(self, units: int, dimension: int) -> None:
        super().__init__()
        cell = CELLS["tt-lstm"]
        self.embedding = nn.Embedding(units + 1, dimension, padding_idx=0)
        self.cell = cell.make(dimension, dimension, cell.options())

    def forward(self, ids_BT: Tensor) -> Tensor:
        """What fills a row comes after its last unit, and so leaves no trace in what is taken."""
        x_BTD = self.embedding(ids_BT)
        hidden_BTH, _ = self.cell(x_BTD, self.cell.initial(x_BTD))
        last_B = ((ids_BT > 0).sum(1) - 1).clamp_min(0)
        last: Tensor = hidden_BTH[torch.arange(len(ids_BT), device=ids_BT.device), last_B]
        return last


class TensorTrainLSTM(Encoder):
    """A tt-lstm cell over the embedded units of a text. vocabulary: the known units."""

    name = "tt-lstm"
    takes = ("text",)
    learned = True

    def __init__(self, vocabulary: Sequence[str], options: EncoderOptions) -> None:
        self.vocabulary, self.options = tuple(vocabulary), options
        self.shape = (len(self.vocabulary),)
        self._numbers = {word: number for number, word in enumerate(self.vocabulary)}

    @classmethod
    def learn(cls, column: Column, modality: str, options: EncoderOptions, world: World) -> TensorTrainLSTM:
        """The most frequent units."""
        texts = cast(Sequence[str], column)
        return cls(vocabulary_of(texts, modality, options.text_unit, options.vocabulary_size, world), options)

    def prepare(self, column: Column) -> Sequences:
        """The numbers of the known units of each text."""
        tokens = Tokens.of(cast(Sequence[str], column), self.options.text_unit, self._numbers)
        return Sequences(tokens, self.options.max_length)

    def unknown(self, column: Column) -> NDArray[np.bool_]:
        """Texts without a known unit."""
        return np.asarray(self.prepare(column).tokens.lengths == 0)

    def network(self, alone: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """B x T -> B x H."""
        return _Reader(len(self.vocabulary), self.options.dimension), (self.options.dimension,)

    def facts(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary": list(self.vocabulary)}

    @classmethod
    def read(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> TensorTrainLSTM:
        """The encoder of `facts`."""
        return cls(facts["vocabulary"], options)


ENCODER = TensorTrainLSTM
