"""Samples that are outer products of vectors, one of each modality, which are never formed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.arguments import alike, dense_list


@dataclass(frozen=True)
class Product:
    """Samples x_b = x_b^(1) ∘ ... ∘ x_b^(M) of matrices (B x I_m): a weight in CP form sees no more of them.

    With 1 put before each vector, the terms of fewer modalities are among the products: Zadeh et al., Tensor fusion
    network, 2017; Liu et al., Efficient low-rank multimodal fusion, 2018. Raises UserError
    for parts that are no such matrices.
    """

    parts: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        parts = alike(dense_list(list(self.parts), "parts")) if len(self.parts) else []
        if not parts or any(part.ndim != 2 or not part.shape[1] for part in parts) or len({*map(len, parts)}) > 1:
            shapes = [tuple(part.shape) for part in parts]
            raise UserError(
                f"the parts of a product have shapes {shapes}: give one or more matrices of as many samples"
            )
        object.__setattr__(self, "parts", tuple(part.detach() for part in parts))

    def to(self, like: Tensor) -> Product:
        """The same on the device and of the type of a tensor."""
        return Product(tuple(part.to(like) for part in self.parts))

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, chosen: Tensor | slice) -> Product:
        return Product(tuple(part[chosen] for part in self.parts))

    @property
    def shape(self) -> tuple[int, ...]:
        """B, I_1, ..., I_M."""
        return (len(self), *(part.shape[1] for part in self.parts))

    @property
    def device(self) -> torch.device:
        """Where the numbers lie."""
        return self.parts[0].device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers."""
        return self.parts[0].dtype

    def without(self, mode: int, factors: list[Tensor]) -> Tensor:
        """Each sample with every mode but one contracted with its factor (I_m x R): B x R x I_mode."""
        return self.contracted(factors, but=mode)[:, :, None] * self.parts[mode][:, None, :]

    def contracted(self, factors: list[Tensor], but: int | None = None) -> Tensor:
        """Each sample contracted with the factors of all modes, or of all but one: B x R."""
        hidden = self.parts[0].new_ones(len(self), factors[0].shape[1])
        for mode, (part, factor) in enumerate(zip(self.parts, factors, strict=True)):
            if mode != but:
                hidden = hidden * (part @ factor)
        return hidden

    def moment(self, slope_BC: Tensor) -> Tensor:
        """Σ_b x_b ∘ slope_b: I_1 x ... x I_M x C, formed; for modalities that are few or short."""
        grown = slope_BC[:, None, :]
        for part in reversed(self.parts[1:]):
            grown = torch.einsum("bi,bjc->bijc", part, grown).flatten(1, 2)
        moment = self.parts[0].T @ grown.flatten(1)
        return moment.reshape(*self.shape[1:], slope_BC.shape[1])
