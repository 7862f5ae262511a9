"""What the form of a weight tensor is: parameters of which each block is linear in the scores.

Shapes: B samples, C scores of a sample, K hidden scores, of which A (C x K) makes the scores; C = 1 has K = 1, A = 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from polyadic.errors import UserError

SURE = 1e-6
"""Singular values above this share of the largest are more than rounding."""


@dataclass(frozen=True)
class Block:
    """A block of parameters that a sweep solves for, the others held.

    value: Q x I. rows: of samples [first, stop) the derivatives of the scores by the block: B x C x QI. penalty: Q x Q;
    the squared norm of the weight tensor is tr(value' penalty value). put: writes a value back.
    """

    name: str
    value: Tensor
    rows: Callable[[int, int], Tensor]
    penalty: Tensor
    put: Callable[[Tensor], None]


class Weight(ABC):
    """A weight tensor W (I_1 x ... x I_N x C) of few numbers, which is never formed to fit or to predict.

    shape: I_1 .. I_N. outputs: C.
    """

    name: ClassVar[str]
    shape: tuple[int, ...]
    outputs: int

    @classmethod
    @abstractmethod
    def ranks_of(cls, rank: int | Sequence[int], shape: Sequence[int], outputs: int) -> tuple[int, ...]:
        """The ranks that a number, or a list, means for such a weight; UserError for ranks that the modes do not allow.

        A number is cut to what each mode allows.
        """

    @classmethod
    @abstractmethod
    def random(cls, shape: Sequence[int], ranks: tuple[int, ...], outputs: int, generator: torch.Generator) -> Weight:
        """A weight of norm about 1 drawn from the generator, float64."""

    @classmethod
    @abstractmethod
    def near(cls, tensor: Tensor, ranks: tuple[int, ...], generator: torch.Generator) -> Weight:
        """A weight near a tensor (I_1 x ... x I_N x C, float64): a decomposition that takes no iterations or few."""

    @abstractmethod
    def scale_(self, factor: float | Tensor) -> None:
        """Multiplies W, in place; factor: a number."""

    @abstractmethod
    def map_mode_(self, mode: int, matrix: Tensor) -> None:
        """W ×_mode M for a matrix M (J x I_mode), in place."""

    @abstractmethod
    def to(self, device: torch.device, dtype: torch.dtype) -> Weight:
        """The same weight on a device, of a type."""

    @abstractmethod
    def blocks(self, samples: Any) -> Iterator[Block]:
        """The blocks of a sweep over samples (B x I_1 x ... x I_N), each as the writing of the last one left it.

        A form may take a Product as well.
        """

    @abstractmethod
    def scores(self, samples: Any) -> Tensor:
        """<W_c, X_b> for each sample and output: B x C."""

    @abstractmethod
    def norm_squared(self) -> float:
        """|W|²."""

    @abstractmethod
    def full(self) -> Tensor:
        """W itself, I_1 x ... x I_N x C, for tests and for weights that are small."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The parameters by their names."""

    @classmethod
    @abstractmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Weight:
        """The weight of parameters by the names that `tensors` gives them."""

    @property
    @abstractmethod
    def degrees_of_freedom(self) -> int:
        """How many numbers W depends on."""


def outputs_block(hidden_BK: Tensor, outputs_CK: Tensor, gram_KK: Tensor, put: Callable[[Tensor], None]) -> Block:
    """The block of A, of which score c of a sample is a_c' h."""
    count, hidden = outputs_CK.shape

    def rows(first: int, stop: int) -> Tensor:
        part_BK = hidden_BK[first:stop]
        eye = torch.eye(count, dtype=part_BK.dtype, device=part_BK.device)
        return torch.einsum("bk,cd->bckd", part_BK, eye).reshape(len(part_BK), count, hidden * count)

    return Block("outputs", outputs_CK.T, rows, gram_KK, lambda value: put(value.T))


def whole_ranks(rank: int | Sequence[int], count: int, what: str, most: Sequence[int]) -> tuple[int, ...]:
    """`count` ranks from a number, cut to what is allowed, or a list; UserError for another count, or beyond `most`."""
    alone = isinstance(rank, int)
    given = (rank,) * count if isinstance(rank, int) else tuple(rank)
    if len(given) != count:
        raise UserError(f"rank is {list(given)}: it must be a number, or a list of {count}, {what}")
    for place, (number, limit) in enumerate(zip(given, most, strict=True)):
        if number < 1:
            raise UserError(f"rank is {number}: it must be 1 or more")
        if number > limit and not alone:
            raise UserError(f"rank[{place}] is {number}: {limit} at most there, by the shape of the samples")
    return tuple(min(number, limit) for number, limit in zip(given, most, strict=True))


def leading(unfolded: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The first left singular vectors of a matrix, by the smaller of its Gram matrices: rows x count, orthonormal.

    The largest entry of each is positive. In the place of those whose singular values are but rounding there are random
    ones, so that the same matrix, summed in another order, has the same.
    """
    count = min(count, unfolded.shape[0])
    if unfolded.shape[0] <= unfolded.shape[1]:
        squares, vectors = torch.linalg.eigh(unfolded @ unfolded.T)
        values, vectors = squares.flip(0).clamp(min=0).sqrt(), vectors.flip(1)
    else:
        vectors, values, _ = torch.linalg.svd(unfolded, full_matrices=False)
    sure = int((values[:count] > SURE * values[0]).sum()) if float(values[0]) > 0 else 0
    more = drawn(generator, len(unfolded), count - sure)
    if more.numel():
        vectors = torch.linalg.qr(torch.cat([vectors[:, :sure], more], 1))[0]
    vectors = vectors[:, :count]
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    signed: Tensor = vectors * torch.where(largest < 0, -1.0, 1.0)
    return signed


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    """Normal numbers, float64, on the CPU."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def halves(shape: Sequence[int]) -> int:
    """Where to cut the modes in two, so that what is left after the contraction of either part is smallest."""
    return min(range(1, len(shape)), key=lambda cut: math.prod(shape[:cut]) + math.prod(shape[cut:]))
