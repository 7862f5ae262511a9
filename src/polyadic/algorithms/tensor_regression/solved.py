"""Scores by a low-rank weight that als has solved for.

Shapes: B samples, C scores, R components, M modalities; I_1 .. I_N the modes of a sample that is one tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from polyadic.algorithms.tensor_regression.encoders.raw import Raw
from polyadic.algorithms.tensor_regression.modality import Modality
from polyadic.regression import Product
from polyadic.regression.weights import WEIGHTS, Weight
from polyadic.regression.weights.cp import CP

INTERCEPT = "intercept"


class Solved:
    """Scores intercept + <W, X>, X a tensor, or of several modalities the product of all [1; x^(m)].

    weight: W, of one mode for each modality where there are several. A modality that a sample lacks counts as its mean,
    of which nothing is left once it is taken off.
    """

    def __init__(self, weight: Weight, intercept_C: Tensor, modalities: int) -> None:
        self.weight, self.intercept, self._product = weight, intercept_C, modalities > 1

    @torch.no_grad()
    def scores(self, *inputs: Tensor) -> Tensor:
        """B x C, of the numbers of the modalities and of which of them a sample has."""
        return self.weight.scores(self._samples(*inputs)) + self.intercept

    @torch.no_grad()
    def shares(self, *inputs: Tensor) -> Tensor | None:
        """What each component adds to each score, B x C x R; None where W has no components."""
        if not isinstance(self.weight, CP):
            return None
        return self.weight.components(self._samples(*inputs))[:, None, :] * self.weight.outputs_CR

    def _samples(self, *inputs: Tensor) -> Tensor | Product:
        return samples_of([part.to(self.intercept) for part in inputs])

    def tensors(self) -> dict[str, Tensor]:
        """The parameters of W under the names of its form (factor_0, ...; outputs), and the intercepts."""
        return {**self.weight.tensors(), INTERCEPT: self.intercept}

    @staticmethod
    def read(form: str, tensors: Mapping[str, Tensor], modalities: int) -> Solved:
        """The scores of `tensors`."""
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(("input.", "interval_"))}
        intercept_C = own.pop(INTERCEPT)
        return Solved(WEIGHTS[form].of_tensors(own), intercept_C, modalities)

    def to(self, device: str) -> Solved:
        """The same on a device."""
        where = torch.device(device)
        moved = self.weight.to(where, self.intercept.dtype)
        return Solved(moved, self.intercept.to(where), 2 if self._product else 1)


def samples_of(inputs: Sequence[Tensor]) -> Tensor | Product:
    """What a weight is multiplied with: of one modality its tensor, of several the product of all [1; x^(m)]."""
    *parts, present_BM = inputs
    if len(parts) == 1:
        return parts[0]
    ones = parts[0].new_ones(len(parts[0]), 1)
    flat = [part.flatten(1) * present_BM[:, place, None].to(part) for place, part in enumerate(parts)]
    return Product(tuple(torch.cat([ones, part], 1) for part in flat))


def in_units(weight: Weight, modalities: Sequence[Modality]) -> tuple[Weight, list[Modality]]:
    """The same scores by a weight in the units of the data, and modalities that no longer divide by deviations."""
    told = []
    for place, modality in enumerate(modalities):
        encoder = modality.encoder
        if not isinstance(encoder, Raw):
            told.append(modality)
            continue
        scales = [scale.double() for scale in encoder.scales]
        if len(modalities) == 1:
            for mode, scale in enumerate(scales):
                weight.map_mode_(mode, torch.diag(1 / scale))
        else:
            whole = torch.ones(1, dtype=torch.float64)
            for scale in scales:
                whole = torch.outer(whole, scale).flatten()
            weight.map_mode_(place, torch.diag(torch.cat([torch.ones(1).double(), 1 / whole])))
        plain = Raw(encoder.mean, tuple(torch.ones(rows) for rows in encoder.shape), encoder.options)
        told.append(Modality(modality.name, modality.kind, modality.shape, plain))
    return (weight.canonical() if isinstance(weight, CP) else weight), told
