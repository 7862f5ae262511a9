"""A weight tensor in Tucker form: W = G ×_1 U^(1) ... ×_N U^(N) ×_{N+1} A."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.regression.contractions import MOST_KERNEL_COMPONENTS, without_left, without_right
from polyadic.regression.weights._weight import Block, Weight, drawn, halves, leading, outputs_block, whole_ranks
from polyadic.tensor import unfold

CACHED_NUMBERS = 2**18
"""Of the samples that are contracted together."""


class Tucker(Weight):
    """A core G (R_1 x ... x R_N x K), factors U^(n) (I_n x R_n) and the outputs' A (C x K), with orthonormal columns.

    Of one output K is 1 and A is 1. Li, Xu, Zhou and Li, Tucker tensor regression and neuroimaging analysis, 2018.
    """

    name = "tucker"

    def __init__(self, core: Tensor, factors: list[Tensor], outputs_CK: Tensor) -> None:
        self.core, self.factors, self.outputs_CK = core, factors, outputs_CK

    @classmethod
    def ranks_of(cls, rank: int | Sequence[int], shape: Sequence[int], outputs: int) -> tuple[int, ...]:
        """A rank for each mode, of at most its rows, and K."""
        ranks = whole_ranks(rank, len(shape), "one for each mode of a sample", shape)
        for mode, own in enumerate(ranks):
            others = math.prod(ranks) // own * outputs
            if own > others and not isinstance(rank, int):
                raise UserError(
                    f"rank[{mode}] is {own}: it must not exceed the product of the others, times the outputs, {others}"
                )
        return (*ranks, min(outputs, math.prod(ranks)))

    @classmethod
    def random(cls, shape: Sequence[int], ranks: tuple[int, ...], outputs: int, generator: torch.Generator) -> Tucker:
        """A core of normal numbers, factors that span random subspaces."""
        core = drawn(generator, *ranks) / math.prod(ranks) ** 0.5
        factors = [_orthonormal(generator, rows, own) for rows, own in zip(shape, ranks, strict=False)]
        last = _orthonormal(generator, outputs, ranks[-1]) if outputs > 1 else torch.ones(1, 1).double()
        return cls(core, factors, last)

    @classmethod
    def near(cls, tensor: Tensor, ranks: tuple[int, ...], generator: torch.Generator) -> Tucker:
        """The truncated singular value decomposition of each unfolding: De Lathauwer et al., 2000."""
        factors = [leading(unfold(tensor, mode), own, generator) for mode, own in enumerate(ranks)]
        if tensor.shape[-1] == 1:
            factors[-1] = torch.ones(1, 1).double()
        core = tensor
        for mode, factor in enumerate(factors):
            core = torch.tensordot(factor, core, dims=([0], [mode])).movedim(0, mode)
        return cls(core, factors[:-1], factors[-1])

    def scale_(self, factor: float | Tensor) -> None:
        """Multiplies the core."""
        self.core = self.core * factor

    def map_mode_(self, mode: int, matrix: Tensor) -> None:
        """Multiplies a factor, and makes it orthonormal again."""
        self._put(mode, matrix.to(self.core) @ self.factors[mode])

    def to(self, device: torch.device, dtype: torch.dtype) -> Tucker:
        """The same weight on a device, of a type."""
        factors = [factor.to(device, dtype) for factor in self.factors]
        return Tucker(self.core.to(device, dtype), factors, self.outputs_CK.to(device, dtype))

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """I_1 .. I_N."""
        return tuple(len(factor) for factor in self.factors)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """C."""
        return len(self.outputs_CK)

    @property
    def degrees_of_freedom(self) -> int:
        """ΠR + Σ R (I - R), the outputs being a mode where there are several."""
        parts = [*self.factors, self.outputs_CK] if self.outputs > 1 else self.factors
        return self.core.numel() + sum(part.shape[1] * (len(part) - part.shape[1]) for part in parts)

    def tensors(self) -> dict[str, Tensor]:
        """core, factor_0 .. and outputs."""
        named = {f"factor_{mode}": factor for mode, factor in enumerate(self.factors)}
        return {"core": self.core} | named | {"outputs": self.outputs_CK}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Tucker:
        """The weight of core, factor_0 .. and outputs."""
        factors = [tensors[f"factor_{mode}"] for mode in range(len(tensors) - 2)]
        return cls(tensors["core"], factors, tensors["outputs"])

    def blocks(self, samples: Tensor) -> Iterator[Block]:
        """A block for each factor, by a tree of contractions that reads the samples twice, then for the core and A."""
        modes = tuple(range(len(self.factors)))
        yield from self._visit(samples.flatten(1)[:, None, :, None], modes)
        last = modes[-1]
        small_BPK = torch.einsum("blik,ij->bljk", self._last_BLIK, self.factors[last])
        projected = small_BPK.reshape(len(samples), *self.core.shape[:-1])
        yield self._core_block(projected)
        if self.outputs > 1:
            core = self.core.reshape(-1, self.core.shape[-1])
            hidden_BK = projected.flatten(1) @ core
            yield outputs_block(hidden_BK, self.outputs_CK, core.T @ core, self._put_outputs)

    def _visit(self, rest: Tensor, modes: tuple[int, ...]) -> Iterator[Block]:
        """The blocks of some modes; rest: B x (the ranks before) x (the rows of these modes) x (the ranks after)."""
        if len(modes) == 1:
            self._last_BLIK = rest
            yield self._block(modes[0], rest)
            return
        cut = halves([self.shape[mode] for mode in modes])
        left, right = modes[:cut], modes[cut:]
        one = self.outputs == 1 and self.core.shape[0] <= MOST_KERNEL_COMPONENTS
        if one and left == (0,) and len(modes) == len(self.factors):
            yield self._first_block(rest)
        else:
            yield from self._visit(self._contracted(rest, modes, right), left)
        yield from self._visit(self._contracted(rest, modes, left), right)

    def _contracted(self, rest: Tensor, modes: Sequence[int], over: Sequence[int]) -> Tensor:
        """`rest` with some of its modes contracted with their factors, a few samples at a time to stay in the cache."""
        count, before, _, after = rest.shape
        rows = [self.shape[mode] for mode in modes]
        at_once = max(1, CACHED_NUMBERS // max(1, before * math.prod(rows) * after))
        first = over[0] == modes[0]
        if after == 1 and 0 < len(over) < len(modes):
            columns = reduce(torch.kron, [self.factors[mode] for mode in over])
            if columns.shape[1] <= MOST_KERNEL_COMPONENTS:
                return _by_columns(rest, columns, first)
        parts = []
        for begin in range(0, max(count, 1), at_once):
            part = rest[begin : begin + at_once].reshape(-1, before, *rows, after)
            for mode in sorted(over, key=lambda mode: self.factors[mode].shape[1] / self.shape[mode]):
                axis = 2 + modes.index(mode)
                part = torch.tensordot(part, self.factors[mode], dims=([axis], [0])).movedim(-1, axis)
            kept = math.prod(rows[modes.index(mode)] for mode in modes if mode not in over)
            ranks = math.prod(self.factors[mode].shape[1] for mode in over)
            shape = (before * ranks, kept, after) if first else (before, kept, ranks * after)
            parts.append(part.reshape(-1, *shape))
        return torch.cat(parts)

    def _unfolded(self, mode: int) -> Tensor:
        """The core with its `mode`-th rank first, the others before it, those after it, and K: R x L x M x K."""
        before = math.prod(self.core.shape[:mode])
        core = self.core.reshape(before, self.core.shape[mode], -1, self.core.shape[-1])
        return core.transpose(0, 1)

    def _block(self, mode: int, contracted_BLIM: Tensor) -> Block:
        core_RLMK, outputs_CK = self._unfolded(mode), self.outputs_CK
        core_RLMC = core_RLMK @ outputs_CK.T
        if self.outputs == 1:
            ranks = core_RLMC[0].numel()
            ranks_first = contracted_BLIM.transpose(2, 3).reshape(len(contracted_BLIM), 1, ranks, self.shape[mode])
            return self._block_of_rows(mode, without_left(ranks_first, core_RLMC.flatten(1).T))

        def rows(first: int, stop: int) -> Tensor:
            part = torch.einsum("blim,rlmc->bcri", contracted_BLIM[first:stop], core_RLMC)
            return part.reshape(len(part), self.outputs, -1)

        flat = core_RLMK.reshape(len(core_RLMK), -1)
        return Block(
            f"factor_{mode}", self.factors[mode].T, rows, flat @ flat.T, lambda value: self._put(mode, value.T)
        )

    def _block_of_rows(self, mode: int, contracted_BRI: Tensor) -> Block:
        """The block of a factor of the weight of one output, whose rows are known for all samples."""
        flat = self._unfolded(mode).flatten(1)
        return Block(
            f"factor_{mode}",
            self.factors[mode].T,
            lambda first, stop: contracted_BRI[first:stop].reshape(stop - first, 1, -1),
            flat @ flat.T,
            lambda value: self._put(mode, value.T),
        )

    def _first_block(self, samples: Tensor) -> Block:
        """The block of the first factor, for which one output sees the other modes by R_1 numbers, the core in them."""
        others = self.core
        for mode, factor in enumerate(self.factors[1:], 1):
            others = torch.tensordot(others, factor, dims=([mode], [1])).movedim(-1, mode)
        columns = others.flatten(1).T
        grid = samples.reshape(len(samples), 1, self.shape[0], len(columns))
        return self._block_of_rows(0, without_right(grid, columns))

    def _core_block(self, projected: Tensor) -> Block:
        projected_BP = projected.flatten(1)

        def rows(first: int, stop: int) -> Tensor:
            part_BP = projected_BP[first:stop]
            if self.outputs == 1:
                return part_BP[:, None]
            return torch.einsum("bp,ck->bcpk", part_BP, self.outputs_CK).reshape(len(part_BP), self.outputs, -1)

        return Block("core", self.core.reshape(1, -1), rows, self.core.new_ones(1, 1), self._put_core)

    def _put(self, mode: int, factor: Tensor) -> None:
        orthonormal, upper = torch.linalg.qr(factor)
        self.factors[mode] = orthonormal
        self.core = torch.tensordot(upper, self.core, dims=([1], [mode])).movedim(0, mode)

    def _put_core(self, value: Tensor) -> None:
        self.core = value.reshape(self.core.shape)

    def _put_outputs(self, value_CK: Tensor) -> None:
        self.outputs_CK, upper = torch.linalg.qr(value_CK)
        self.core = self.core @ upper.T

    def scores(self, samples: Tensor) -> Tensor:
        """<W_c, X_b>: each mode contracted with its factor, then the core."""
        modes = tuple(range(len(self.factors)))
        small = self._contracted(samples.flatten(1)[:, None, :, None], modes, modes)
        hidden_BK = small.flatten(1) @ self.core.reshape(-1, self.core.shape[-1])
        return hidden_BK @ self.outputs_CK.T

    def norm_squared(self) -> float:
        """|W|² = |G|²."""
        return float(self.core.square().sum())

    def full(self) -> Tensor:
        """W, I_1 x ... x I_N x C."""
        whole = self.core
        for mode, factor in enumerate([*self.factors, self.outputs_CK]):
            whole = torch.tensordot(factor, whole, dims=([1], [mode])).movedim(0, mode)
        return whole


def _orthonormal(generator: torch.Generator, rows: int, columns: int) -> Tensor:
    factor: Tensor = torch.linalg.qr(drawn(generator, rows, columns))[0]
    return factor


def _by_columns(rest: Tensor, columns: Tensor, first: bool) -> Tensor:
    """Samples (B x ranks before x rows x 1) whose first modes, or last ones, are contracted with several factors."""
    count, before, rows, _ = rest.shape
    left, ranks = len(columns) if first else rows // len(columns), columns.shape[1]
    grid = rest.reshape(count * before, 1, left, rows // left)
    if first:
        return without_left(grid, columns).reshape(count, before * ranks, rows // left, 1)
    return without_right(grid, columns).reshape(count, before, ranks, left).transpose(2, 3)


WEIGHT = Tucker
