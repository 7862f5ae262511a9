"""A weight tensor in CP form: W_c = sum_r a_cr u_r^(1) ∘ ... ∘ u_r^(N)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from polyadic.regression.contractions import without_left, without_right
from polyadic.regression.product import Product
from polyadic.regression.weights._weight import Block, Weight, drawn, halves, leading, outputs_block, whole_ranks
from polyadic.tensor import khatri_rao, mttkrp, unfold

SWEEPS_OF_START = 10
"""Over the tensor that a start is a decomposition of."""


class CP(Weight):
    """Factors u^(n) (I_n x R) and the outputs' A (C x R); of one output A is all ones.

    Zhou, Li and Zhu, Tensor regression with applications in neuroimaging, JASA 2013.
    """

    name = "cp"

    def __init__(self, factors: list[Tensor], outputs_CR: Tensor) -> None:
        self.factors, self.outputs_CR = factors, outputs_CR

    @classmethod
    def ranks_of(cls, rank: int | Sequence[int], shape: Sequence[int], outputs: int) -> tuple[int, ...]:
        """One rank: at most the product of all modes, the outputs among them if there are several, but the longest."""
        modes = [*shape, outputs] if outputs > 1 else list(shape)
        return whole_ranks(rank, 1, "of one rank for all modes", [math.prod(modes) // max(modes)])

    @classmethod
    def random(cls, shape: Sequence[int], ranks: tuple[int, ...], outputs: int, generator: torch.Generator) -> CP:
        """Factors of normal numbers."""
        rank = ranks[0]
        length = rank ** (-0.5 / (len(shape) + (outputs > 1)))
        factors = [drawn(generator, rows, rank) * (length / rows**0.5) for rows in shape]
        last = (
            drawn(generator, outputs, rank) * (length / outputs**0.5) if outputs > 1 else torch.ones(1, rank).double()
        )
        return cls(factors, last)

    @classmethod
    def near(cls, tensor: Tensor, ranks: tuple[int, ...], generator: torch.Generator) -> CP:
        """A few sweeps of alternating least squares from the leading singular vectors of the unfoldings."""
        whole = tensor if tensor.shape[-1] > 1 else tensor[..., 0]
        factors = [_begun(whole, mode, ranks[0], generator) for mode in range(whole.ndim)]
        for _ in range(SWEEPS_OF_START if whole.ndim > 1 else 0):
            for mode in range(whole.ndim):
                gram = reduce(torch.mul, [f.T @ f for other, f in enumerate(factors) if other != mode])
                gram = gram + 1e-9 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
                factors[mode] = torch.linalg.solve(gram, mttkrp(whole, factors, mode).T).T
        if whole.ndim == 1:
            factors = [whole[:, None]]
        last = factors.pop() if tensor.shape[-1] > 1 else torch.ones(1, factors[0].shape[1]).double()
        weight = cls(factors, last)
        weight._balance()
        return weight

    def scale_(self, factor: float | Tensor) -> None:
        """Multiplies the first factor."""
        self.factors[0] = self.factors[0] * factor

    def map_mode_(self, mode: int, matrix: Tensor) -> None:
        """Multiplies a factor."""
        self.factors[mode] = matrix.to(self.factors[mode]) @ self.factors[mode]

    def to(self, device: torch.device, dtype: torch.dtype) -> CP:
        """The same weight on a device, of a type."""
        return CP([factor.to(device, dtype) for factor in self.factors], self.outputs_CR.to(device, dtype))

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """I_1 .. I_N."""
        return tuple(len(factor) for factor in self.factors)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """C."""
        return len(self.outputs_CR)

    @property
    def rank(self) -> int:
        """R."""
        return self.outputs_CR.shape[1]

    @property
    def degrees_of_freedom(self) -> int:
        """R (sum I - N + 1), and of a matrix R (I_1 + I_2 - R), the outputs being a mode where there are several."""
        modes = [*self.shape, self.outputs] if self.outputs > 1 else list(self.shape)
        if len(modes) == 1:
            return modes[0]
        count = self.rank * (sum(modes) - (self.rank if len(modes) == 2 else len(modes) - 1))
        return min(count, math.prod(modes))

    def tensors(self) -> dict[str, Tensor]:
        """factor_0 .. and outputs."""
        named = {f"factor_{mode}": factor for mode, factor in enumerate(self.factors)}
        return named | {"outputs": self.outputs_CR}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> CP:
        """The weight of factor_0 .. and outputs."""
        return cls([tensors[f"factor_{mode}"] for mode in range(len(tensors) - 1)], tensors["outputs"])

    def blocks(self, samples: Tensor | Product) -> Iterator[Block]:
        """A block for each factor, by a tree of contractions that reads the samples twice, and one for A."""
        if self.outputs == 1:
            self.factors[0] = self.factors[0] * self.outputs_CR
            self.outputs_CR = torch.ones_like(self.outputs_CR)
        for mode, contracted_BRI in self._contractions(samples):
            yield self._block(mode, contracted_BRI)
            if self.outputs > 1 and mode == len(self.factors) - 1:
                hidden_BR = torch.einsum("bri,ir->br", contracted_BRI, self.factors[mode])
                yield outputs_block(hidden_BR, self.outputs_CR, self._gram(None), self._put_outputs)
        self._balance()

    def _contractions(self, samples: Tensor | Product) -> Iterator[tuple[int, Tensor]]:
        """Each mode in turn, with the samples contracted with the present factors of the others: B x R x I."""
        if isinstance(samples, Product):
            yield from ((mode, samples.without(mode, self.factors)) for mode in range(len(self.factors)))
        else:
            yield from self._visit(samples.flatten(1)[:, None], tuple(range(len(self.factors))))

    def _visit(self, rest: Tensor, modes: tuple[int, ...]) -> Iterator[tuple[int, Tensor]]:
        """The same for some modes; rest: B x R x the product of these modes, the others contracted; at first R is 1."""
        if len(modes) == 1:
            yield modes[0], rest.expand(-1, self.rank, -1)
            return
        cut = halves([self.shape[mode] for mode in modes])
        left, right = modes[:cut], modes[cut:]
        grid = rest.reshape(len(rest), rest.shape[1], self._rows(left), self._rows(right))
        yield from self._visit(without_right(grid, self._columns(right)), left)
        yield from self._visit(without_left(grid, self._columns(left)), right)

    def _rows(self, modes: tuple[int, ...]) -> int:
        return math.prod(self.shape[mode] for mode in modes)

    def _columns(self, modes: tuple[int, ...]) -> Tensor:
        """The Khatri-Rao product of the factors of some modes."""
        factors = [self.factors[mode] for mode in modes]
        return factors[0] if len(factors) == 1 else khatri_rao(factors)

    def _block(self, mode: int, contracted_BRI: Tensor) -> Block:
        def rows(first: int, stop: int) -> Tensor:
            part_BRI = contracted_BRI[first:stop]
            if self.outputs == 1:
                return part_BRI.reshape(len(part_BRI), 1, -1)
            return torch.einsum("bri,cr->bcri", part_BRI, self.outputs_CR).reshape(len(part_BRI), self.outputs, -1)

        return Block(
            f"factor_{mode}", self.factors[mode].T, rows, self._gram(mode), lambda value: self._put(mode, value)
        )

    def _gram(self, left_out: int | None) -> Tensor:
        """The products of the components with one another, of all modes but one; None leaves out the outputs.

        float64, for components may nearly cancel one another.
        """
        parts = [factor for mode, factor in enumerate(self.factors) if mode != left_out]
        if left_out is not None:
            parts.append(self.outputs_CR)
        return reduce(torch.mul, [part.double().T @ part.double() for part in parts])

    def _put(self, mode: int, value_RI: Tensor) -> None:
        self.factors[mode] = value_RI.T.contiguous()

    def _put_outputs(self, value_CR: Tensor) -> None:
        self.outputs_CR = value_CR.contiguous()

    def _balance(self) -> None:
        """The same tensor, each component with columns of one length in all modes."""
        parts = [*self.factors, self.outputs_CR] if self.outputs > 1 else self.factors
        lengths = torch.stack([part.norm(dim=0).double() for part in parts])
        mean = lengths.log().mean(0).exp()
        for part, length in zip(parts, lengths, strict=True):
            part.mul_(torch.where(length > 0, mean / length, 1.0).to(part.dtype))

    def scores(self, samples: Tensor | Product) -> Tensor:
        """<W_c, X_b>: one contraction with the Khatri-Rao product of the last modes, then with each of the first."""
        return self.components(samples) @ self.outputs_CR.T

    def components(self, samples: Tensor | Product) -> Tensor:
        """<u_r^(1) ∘ ... ∘ u_r^(N), X_b> for each sample and component: B x R."""
        if isinstance(samples, Product):
            return samples.contracted(self.factors)
        if len(self.shape) == 1:
            return samples @ self.factors[0]
        cut = halves(self.shape)
        modes = tuple(range(len(self.shape)))
        left, right = modes[:cut], modes[cut:]
        grid = samples.reshape(len(samples), 1, self._rows(left), self._rows(right))
        return torch.einsum("brl,lr->br", without_right(grid, self._columns(right)), self._columns(left))

    def canonical(self) -> CP:
        """The same tensor with columns of length 1, the largest entry of each positive; components by falling length.

        The lengths and the signs are those of the outputs.
        """
        factors, outputs_CR = [], self.outputs_CR
        for factor in self.factors:
            length = factor.norm(dim=0)
            largest = factor.gather(0, factor.abs().argmax(0, keepdim=True))[0]
            scale = torch.where(largest < 0, -length, length)
            factors.append(factor / torch.where(length > 0, scale, 1.0))
            outputs_CR = outputs_CR * scale
        order = outputs_CR.norm(dim=0).argsort(descending=True, stable=True)
        return CP([factor[:, order] for factor in factors], outputs_CR[:, order])

    def norm_squared(self) -> float:
        """|W|²."""
        outputs_CR = self.outputs_CR.double()
        return float((self._gram(None) * (outputs_CR.T @ outputs_CR)).sum())

    def full(self) -> Tensor:
        """W, I_1 x ... x I_N x C."""
        return khatri_rao([*self.factors, self.outputs_CR]).sum(1).reshape(*self.shape, self.outputs)


def _begun(whole: Tensor, mode: int, rank: int, generator: torch.Generator) -> Tensor:
    """The leading singular vectors of an unfolding, and random columns where there are too few of them."""
    found = leading(unfold(whole, mode), min(rank, whole.shape[mode]), generator)
    more = rank - found.shape[1]
    return torch.cat([found, drawn(generator, len(found), more) / len(found) ** 0.5], 1) if more else found


WEIGHT = CP
