"""A weight tensor in tensor-train form: W_c(i_1 .. i_N) = G_1(i_1) G_2(i_2) ... G_N(i_N) a_c."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from polyadic.regression.weights._weight import Block, Weight, drawn, leading, outputs_block, whole_ranks


class TensorTrain(Weight):
    """Cores G_n (r_{n-1} x I_n x r_n), r_0 = 1 and r_N = K, and the outputs' A (C x K) of orthonormal columns.

    Of one output K is 1 and A is 1. Before a sweep all cores but the first are right-orthogonal, after it all but the
    last left-orthogonal, so that the norm of W is that of the core that is solved for: Holtz, Rohwedder and Schneider,
    The alternating linear scheme for tensor optimization in the tensor train format, 2012.
    """

    name = "tensor-train"

    def __init__(self, cores: list[Tensor], outputs_CK: Tensor) -> None:
        self.cores, self.outputs_CK = cores, outputs_CK

    @classmethod
    def ranks_of(cls, rank: int | Sequence[int], shape: Sequence[int], outputs: int) -> tuple[int, ...]:
        """A rank between each two neighbouring modes, of at most the rows on either side, and K."""
        cuts = range(1, len(shape))
        most = [min(math.prod(shape[:cut]), math.prod(shape[cut:]) * outputs) for cut in cuts]
        ranks = whole_ranks(rank, len(shape) - 1, "one between each two neighbouring modes of a sample", most)
        return (*ranks, min(outputs, (ranks[-1] if ranks else 1) * shape[-1]))

    @classmethod
    def random(
        cls, shape: Sequence[int], ranks: tuple[int, ...], outputs: int, generator: torch.Generator
    ) -> TensorTrain:
        """Cores of normal numbers."""
        sizes = (1, *ranks)
        cores = [
            drawn(generator, before, rows, after) / (before * rows) ** 0.5
            for before, rows, after in zip(sizes, shape, sizes[1:], strict=False)
        ]
        last = torch.linalg.qr(drawn(generator, outputs, ranks[-1]))[0] if outputs > 1 else torch.ones(1, 1).double()
        return cls(cores, last)

    @classmethod
    def near(cls, tensor: Tensor, ranks: tuple[int, ...], generator: torch.Generator) -> TensorTrain:
        """The truncated singular value decompositions of one unfolding after another: Oseledets, 2011."""
        cores, rest = [], tensor.reshape(1, -1)
        sizes = (*ranks, 1)
        for rows, after in zip(tensor.shape[:-1], sizes, strict=False):
            grid = rest.reshape(len(rest) * rows, -1)
            left = leading(grid, after, generator)
            left = torch.nn.functional.pad(left, (0, after - left.shape[1]))
            cores.append(left.reshape(len(rest), rows, after))
            rest = left.T @ grid
        if tensor.shape[-1] == 1:
            cores[-1] = cores[-1] * rest[0, 0]
            return cls(cores, torch.ones(1, 1).double())
        return cls(cores, rest.T.contiguous())

    def scale_(self, factor: float | Tensor) -> None:
        """Multiplies the first core."""
        self.cores[0] = self.cores[0] * factor

    def map_mode_(self, mode: int, matrix: Tensor) -> None:
        """Multiplies a core."""
        self.cores[mode] = torch.einsum("ji,aib->ajb", matrix.to(self.cores[mode]), self.cores[mode])

    def to(self, device: torch.device, dtype: torch.dtype) -> TensorTrain:
        """The same weight on a device, of a type."""
        return TensorTrain([core.to(device, dtype) for core in self.cores], self.outputs_CK.to(device, dtype))

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """I_1 .. I_N."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """C."""
        return len(self.outputs_CK)

    @property
    def degrees_of_freedom(self) -> int:
        """Σ r_{n-1} I_n r_n - Σ r_n², the outputs being a core where there are several."""
        count = sum(core.numel() for core in self.cores) - sum(core.shape[0] ** 2 for core in self.cores[1:])
        width = self.outputs_CK.shape[1]
        return count + (width * (self.outputs - width) if self.outputs > 1 else 0)

    def tensors(self) -> dict[str, Tensor]:
        """core_0 .. and outputs."""
        return {f"core_{mode}": core for mode, core in enumerate(self.cores)} | {"outputs": self.outputs_CK}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> TensorTrain:
        """The weight of core_0 .. and outputs."""
        return cls([tensors[f"core_{mode}"] for mode in range(len(tensors) - 1)], tensors["outputs"])

    def blocks(self, samples: Tensor) -> Iterator[Block]:
        """A block for each core from left to right, then one for A; the samples are read twice."""
        self._right_orthogonalise()
        interfaces = self._interfaces()
        rest = samples.flatten(1)[:, None]
        for mode, core in enumerate(self.cores):
            left, rows, _ = core.shape
            grid = rest.reshape(len(samples), left * rows, math.prod(self.shape[mode + 1 :]))
            seen = torch.tensordot(grid, interfaces[mode], dims=([2], [0]))  # B x (left · I) x right x K
            yield self._block(mode, seen)
            self._orthogonalise(mode)
            # The core was written: what is left of the samples once it has been contracted.
            core = self.cores[mode].reshape(left * rows, -1)
            rest = torch.matmul(core.T, grid)
        if self.outputs > 1:
            hidden_BK = rest[:, :, 0]
            eye = torch.eye(hidden_BK.shape[1], dtype=hidden_BK.dtype, device=hidden_BK.device)
            yield outputs_block(hidden_BK, self.outputs_CK, eye, self._put_outputs)

    def _interfaces(self) -> list[Tensor]:
        """For each mode the product of the cores after it: (the rows after it) x r_n x K."""
        width = self.cores[-1].shape[2]
        last = torch.eye(width, dtype=self.cores[0].dtype, device=self.cores[0].device)[None]
        found = [last]
        for core in reversed(self.cores[1:]):
            product = torch.tensordot(core, found[-1], dims=([2], [1]))  # r x I x rows x K
            found.append(product.movedim(0, 2).reshape(-1, core.shape[0], width))
        return found[::-1]

    def _block(self, mode: int, seen: Tensor) -> Block:
        core = self.cores[mode]

        def rows(first: int, stop: int) -> Tensor:
            part = torch.einsum("bjrk,ck->bcjr", seen[first:stop], self.outputs_CK)
            return part.reshape(len(part), self.outputs, -1)

        def put(value: Tensor) -> None:
            self.cores[mode] = value.reshape(core.shape)

        return Block(f"core_{mode}", core.reshape(1, -1), rows, core.new_ones(1, 1), put)

    def _orthogonalise(self, mode: int) -> None:
        """Makes a core left-orthogonal, the rest of it in the next core or, of the last one, in A."""
        core = self.cores[mode]
        orthonormal, upper = torch.linalg.qr(core.reshape(-1, core.shape[2]))
        if mode + 1 < len(self.cores):
            self.cores[mode] = orthonormal.reshape(*core.shape[:2], -1)
            self.cores[mode + 1] = torch.tensordot(upper, self.cores[mode + 1], dims=1)
        elif self.outputs > 1:
            self.cores[mode] = orthonormal.reshape(*core.shape[:2], -1)
            self.outputs_CK = self.outputs_CK @ upper.T

    def _right_orthogonalise(self) -> None:
        """Makes all cores but the first right-orthogonal, and A orthonormal."""
        if self.outputs > 1:
            self.outputs_CK, upper = torch.linalg.qr(self.outputs_CK)
            self.cores[-1] = self.cores[-1] @ upper.T
        for mode in range(len(self.cores) - 1, 0, -1):
            core = self.cores[mode]
            orthonormal, upper = torch.linalg.qr(core.reshape(len(core), -1).T)
            self.cores[mode] = orthonormal.T.reshape(-1, *core.shape[1:])
            self.cores[mode - 1] = self.cores[mode - 1] @ upper.T

    def _put_outputs(self, value_CK: Tensor) -> None:
        self.outputs_CK = value_CK

    def scores(self, samples: Tensor) -> Tensor:
        """<W_c, X_b>: one core after another."""
        rest = samples.flatten(1)[:, None]
        for mode, core in enumerate(self.cores):
            flat = core.reshape(-1, core.shape[2])
            rest = torch.matmul(flat.T, rest.reshape(len(samples), len(flat), math.prod(self.shape[mode + 1 :])))
        return rest[:, :, 0] @ self.outputs_CK.T

    def norm_squared(self) -> float:
        """|W|²."""
        gram = self.cores[0].new_ones(1, 1)
        for core in [*self.cores, self.outputs_CK.T[:, :, None]]:
            gram = torch.einsum("ab,air,bis->rs", gram, core, core)
        return float(gram.sum())

    def full(self) -> Tensor:
        """W, I_1 x ... x I_N x C."""
        whole = self.cores[0].reshape(-1, self.cores[0].shape[2])
        for core in self.cores[1:]:
            whole = torch.tensordot(whole, core, dims=1).reshape(-1, core.shape[2])
        return (whole @ self.outputs_CK.T).reshape(*self.shape, self.outputs)


WEIGHT = TensorTrain
