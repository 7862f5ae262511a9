"""The modalities of a job: chosen by its columns and settings, and samples of them ready to be taken from.

Shapes: B samples of this rank, M modalities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.algorithms.tensor_regression.encoders import ENCODERS, EncoderOptions, Prepared
from polyadic.algorithms.tensor_regression.encoders.raw import Standardised
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.modality import Modality
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.readers.samples.columns import Samples, in_words, some, stacked
from polyadic.readers.shares import agreed


@dataclass(frozen=True)
class Inputs:
    """B samples: of each modality what can be taken from, and whether a sample has it (B x M, 0 or 1)."""

    columns: tuple[Prepared, ...]
    present_BM: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.present_BM)

    @property
    def nbytes(self) -> int:
        """The memory that is held."""
        return sum(column.nbytes for column in self.columns)

    @property
    def settled(self) -> bool:
        """Whether all numbers are taken without a copy."""
        return len(self.columns) == 1 and isinstance(self.columns[0], Standardised) and self.columns[0].settled

    def settle(self) -> Inputs:
        """The same, with numbers that need no copy to be taken all at once, where the columns can become such."""
        settled = (column.settle() if isinstance(column, Standardised) else column for column in self.columns)
        return replace(self, columns=tuple(settled))

    def take(self, numbers: NDArray[np.int64] | slice) -> tuple[Tensor, ...]:
        """The numbers of each modality of some samples, then which of them they have."""
        return (*(column.take(numbers) for column in self.columns), torch.from_numpy(self.present_BM[numbers]))


@dataclass(frozen=True)
class Modalities:
    """The modalities, in the order of their names."""

    each: tuple[Modality, ...]
    missing: bool

    @staticmethod
    def learn(settings: Hyperparameters, samples: Samples, world: World) -> Modalities:
        """What the training samples of all ranks tell; a collective.

        Raises UserError for encoders of no modality, or of another kind, and for samples in which one cannot be known.
        """
        kinds = next(kinds for kinds in world.collect(samples.kinds) if kinds)
        given, options = settings.named_encoders, options_of(settings)
        for name in given:
            if name not in kinds:
                raise UserError(f"encoders names {name}: channel train has {', '.join(sorted(kinds))}")
        each = []
        for name in sorted(kinds):
            kind, shape = _kind(kinds[name]), kinds[name][1]
            encoder = ENCODERS[given.get(name) or _usual(kind, len(kinds) > 1, settings)]
            if kind not in encoder.takes:
                raise UserError(
                    f"the encoder of {name} is {encoder.name}, of a {' or a '.join(encoder.takes)}, and {name} is "
                    f"{in_words(kind, shape)}: choose {' or '.join(fitting(kind))}"
                )
            column = samples.column(name)
            own = stacked(kind, shape, []) if column is None else some(column, samples.present(name))
            learned = encoder.learn(own, name, options, world)
            each.append(Modality(name, kind, shape, learned))
        return Modalities(tuple(each), settings.missing == "mask" and len(each) > 1)

    def prepare(self, samples: Samples, channel: str, world: World) -> Inputs:
        """The samples of a channel; a collective. UserError where they have other columns, or nothing that is known."""
        kinds = next((kinds for kinds in world.collect(samples.kinds) if kinds), {})
        for modality in self.each:
            kind = kinds.get(modality.name)
            found = (_kind(kind), kind[1]) if kind else None
            if found != (modality.kind, modality.shape) and not (found is None and self.missing):
                told = f"is {in_words(*found)}" if found else "is missing"
                raise UserError(
                    f"channel {channel}: {modality.name} {told}, and {in_words(modality.kind, modality.shape)} in "
                    "channel train: give the columns of train"
                )
        return agreed(world, lambda: self._prepared(samples, channel))

    def _prepared(self, samples: Samples, channel: str) -> Inputs:
        columns, present = [], []
        for modality in self.each:
            column = samples.column(modality.name)
            if column is None:
                column = stacked(modality.kind, modality.shape, [None] * len(samples))
            held = samples.present(modality.name)
            nothing = modality.encoder.unknown(column) & held
            if nothing.any() and not self.missing:
                row = int(np.argmax(nothing))
                where = samples.places[row] if samples.places else f"channel {channel}, sample {row}"
                raise UserError(
                    f"{where}: {modality.name} holds nothing that is known from training: mend the text, take the row "
                    "out, or set missing to mask"
                )
            present.append(held & ~nothing)
            columns.append(modality.encoder.prepare(column))
        return Inputs(tuple(columns), np.stack(present, 1).astype(np.float32))

    def of_cells(self, cells: Sequence[Sequence[Any]]) -> Inputs:
        """The samples of requests: of each the cells of all modalities, None for one that is missing."""
        columns = []
        for place, modality in enumerate(self.each):
            column = stacked(modality.kind, modality.shape, [sample[place] for sample in cells])
            columns.append(modality.encoder.prepare(column))
        present = np.array([[cell is not None for cell in sample] for sample in cells], np.float32)
        return Inputs(tuple(columns), present)

    def parse(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The cells of a sample by the names of its modalities; UserError for others, and for ones that are missing."""
        known = [modality.name for modality in self.each]
        other = next((name for name in values if name not in known), None)
        if other is not None:
            raise UserError(f"the instance has {other}: this model takes {', '.join(known)}")
        cells = []
        for modality in self.each:
            value = values.get(modality.name)
            if value is None and not (self.missing and any(values.get(name) is not None for name in known)):
                raise UserError(f"{modality.name} is missing: this model takes {', '.join(known)}")
            cells.append(None if value is None else modality.cell(value))
        return tuple(cells)

    def tensors(self) -> dict[str, Tensor]:
        """Those of the encoders, by modality: input.question.mean."""
        return {
            f"input.{modality.name}.{name}": tensor
            for modality in self.each
            for name, tensor in modality.encoder.tensors().items()
        }

    def facts(self) -> dict[str, Any]:
        """What `read` needs beside tensors, as JSON."""
        return {"modalities": [modality.facts() for modality in self.each], "missing": self.missing}

    @staticmethod
    def read(facts: Mapping[str, Any], tensors: Mapping[str, Tensor], options: EncoderOptions) -> Modalities:
        """The modalities of `facts` and `tensors`."""
        each = []
        for told in facts["modalities"]:
            begin = f"input.{told['name']}."
            own = {name.removeprefix(begin): value for name, value in tensors.items() if name.startswith(begin)}
            each.append(Modality.read(told, own, options))
        return Modalities(tuple(each), facts["missing"])


def options_of(settings: Hyperparameters) -> EncoderOptions:
    """What a job sets of its encoders."""
    return EncoderOptions(
        standardize=settings.standardize,
        text_unit=settings.text_unit,
        vocabulary_size=settings.vocabulary_size,
        max_length=settings.max_length,
        dimension=settings.encoder_dimension,
        channels=settings.convolution_channels,
        contraction=None if settings.contraction is None else tuple(settings.contraction),
    )


def fitting(kind: str) -> list[str]:
    """The encoders of a kind of column."""
    return [name for name, encoder in ENCODERS.items() if kind in encoder.takes]


def _usual(kind: str, among_others: bool, settings: Hyperparameters) -> str:
    """The encoder of a modality for which none is named."""
    if kind == "picture":
        return "convolution" if among_others and settings.solver != "als" else "raw"
    return "bag" if kind == "text" else "raw"


def _kind(told: tuple[str, tuple[int, ...]]) -> str:
    """Of the kinds of columns, which may say the names of a vector's numbers."""
    return told[0] if told[0] in ("picture", "text") else "tensor"
