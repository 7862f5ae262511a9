"""A small tensor that stands for a large one: its core over a few orthonormal columns of each mode.

A CP model of the core, its factors multiplied by these columns, is a CP model of the data with the same misfit and what
the columns leave out (CANDELINC: Carroll, Pruzansky and Kruskal, Psychometrika 1980).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.decomposition.cp.algebraic import algebraic_starts
from polyadic.decomposition.cp.newton import CG_TOLERANCE, MOST_CG_STEPS
from polyadic.decomposition.cp.start import singular
from polyadic.decomposition.data import Data
from polyadic.decomposition.precision import TRUSTED_ROUND_OFFS, in_safe_unit
from polyadic.decomposition.tucker.orthogonal import st_hosvd
from polyadic.decomposition.tucker.spectra import ways
from polyadic.decomposition.tucker.subspaces import Truncation
from polyadic.decomposition.tucker.unfoldings import rows_of
from polyadic.distributed import World
from polyadic.tensor import kernels
from polyadic.tensor.dense_share import DenseShare
from polyadic.tensor.layout import Layer
from polyadic.tensor.products import mode_product
from polyadic.tensor.sparse_share import SparseShare

CG_STEPS = 15
"""Of conjugate gradients in a step on a core, about."""
SPARE_COLUMNS = 2
"""Columns of a mode beyond the rank: noise mixes the last ones of the signal with the first of its own."""
SMALL_WORK = 2**22
"""Numbers of a tensor, times the rank, up to which the kernels of small tensors finish a fit."""
GRAM_WORK = 2**27
"""Products of a Gram matrix of the shortest mode up to which it takes less time than sketches."""
MOST_NUMBERS = 2**23
"""Numbers of a tensor of which a copy in float64 may be made."""
LAST_MARGIN = 2
"""The last mode is taken first where it has at most so many times the rows of the shortest."""
THREADED_NUMBERS = 2**17
"""Numbers of a tensor from which a kernel's threads are worth their start."""
DOUBLE_WORK = 2**24
"""Products of a Gram matrix that are formed in float64 at once."""
RESOLVED = 1e-4
"""The part of |X|² that a core has missed, in float32, beside which no direction that float32 loses counts."""
LARGEST_CORE = 2**18
"""Numbers of a core; a fit of a larger one is no small work."""
SAFE_NORM = 1e8
"""The squares of the squares of norms between 1 / SAFE_NORM and SAFE_NORM stay within float32."""
SPARSE_COLUMNS = 2**10
"""Columns of the compressed unfolding up to which a sparse tensor is compressed: each costs a product of nonzeros."""


@dataclass(frozen=True)
class Core:
    """A core J_1 x ... x J_N in float64 on the CPU, divided by |X|, the same on every rank.

    bases: this rank's rows of each mode's orthonormal columns, I_n x J_n; None for a mode whose rows are the core's.
    missed: (|X|² - |G|²) / |X|², what no model within these columns can fit.
    """

    tensor: Tensor
    bases: list[Tensor | None]
    missed: float

    @staticmethod
    def of_all(data: Data, rank: int) -> Core | None:
        """Small data as they are; None for others, which kernels of small tensors would be slow at."""
        share = data.share
        if not isinstance(share, DenseShare) or data.mask is not None or data.world.size > 1:
            return None
        if share.device.type != "cpu" or rank * math.prod(share.shape) > SMALL_WORK:
            return None
        return Core(share.slab.local.double() / data.norm, [None] * len(share.shape), 0.0)

    size = 1.0
    """|X|, by which the data have been divided."""
    agreement = 1e-3

    @property
    def shape(self) -> tuple[int, ...]:
        """J_1, ..., J_N."""
        return tuple(self.tensor.shape)

    def step_work(self, rank: int) -> float:
        """The multiplications of one step: three products of the core, and those of conjugate gradients."""
        order = self.tensor.ndim
        products = 2 * order * CG_STEPS * sum(self.tensor.shape) * rank**2
        return 3.0 * self.tensor.numel() * rank + products + order * rank**3

    def starts(self, rank: int, seed: int, count: int) -> list[list[NDArray[np.float64]]]:
        """Up to `count` algebraic starts."""
        return algebraic_starts(self.tensor.numpy(), rank, seed, count)

    def descend(
        self,
        stack: NDArray[np.float64],
        edges: NDArray[np.int64],
        l2: float,
        tolerance: float,
        steps: int,
        state: NDArray[np.float64],
    ) -> bool:
        """Steps on the core, as `search.Target` has them."""
        ended: bool = kernels.gauss_newton.descend(
            self.tensor.reshape(-1, self.tensor.shape[-1]).numpy(),
            np.array(self.tensor.shape),
            edges,
            stack,
            l2,
            self.missed,
            tolerance,
            steps,
            MOST_CG_STEPS,
            CG_TOLERANCE,
            state,
        )
        return ended

    def expanded(self, data: Data, factors: list[Tensor]) -> list[Tensor]:
        """This rank's rows of the data's factors (I_n x R) from those of the core (J_n x R), in float64."""
        pairs = zip(self.bases, factors, strict=True)
        return [factor if basis is None else basis.double() @ factor.to(basis.device) for basis, factor in pairs]


def widths(shape: tuple[int, ...], rank: int) -> list[int]:
    """J_1, ..., J_N: the rows of a core for a model of this rank."""
    columns = math.prod(shape)
    return [min(rows, rank + SPARE_COLUMNS, columns // rows) for rows in shape]


def compress(data: Data, rank: int, seed: int) -> Core | None:
    """The core of data, or None where some of its entries are unknown, or where the core would not be small."""
    share, shape = data.share, data.share.shape
    wide = widths(shape, rank)
    if data.mask is not None or math.prod(wide) > LARGEST_CORE:
        return None
    if isinstance(share, SparseShare):
        return _of_sparse(share, data, wide, seed)
    on_one = data.world.size == 1 and share.device.type == "cpu" and 1 / SAFE_NORM < data.norm < SAFE_NORM
    entries = math.prod(shape)
    if on_one and entries <= MOST_NUMBERS and entries * _shortest_side(shape, wide) <= GRAM_WORK:
        return _of_small(share, data, wide)
    return _of_dense(share, data, wide, seed)


def _shortest_side(shape: Sequence[int], wide: list[int]) -> int:
    """The least side of the unfoldings along the modes that become shorter: rows and columns of a Gram matrix."""
    entries = math.prod(shape)
    sides = [min(rows, entries // rows) for rows, columns in zip(shape, wide, strict=True) if columns < rows]
    return min(sides, default=1)


def _of_small(share: DenseShare, data: Data, wide: list[int]) -> Core:
    """By Gram matrices, the shortest mode first: less work than sketches, and best for its subspaces.

    In float64 where that is little work, or where the core is so close to the data that float32 would hide a component.
    """
    if math.prod(share.shape) * _shortest_side(share.shape, wide) > DOUBLE_WORK:
        core = _by_grams(share.slab.local, data.norm, wide)
        if core.missed > RESOLVED or share.dtype == torch.float64:
            return core
    return _by_grams(share.slab.local.double(), data.norm, wide)


def _by_grams(tensor: Tensor, norm: float, wide: list[int]) -> Core:
    """The core of a tensor; the first Gram matrix, which is most of the work, in the tensor's precision."""
    bases: list[Tensor | None] = [None] * len(wide)
    core, dtype = tensor, tensor.dtype
    for mode in _shortest_first(tensor.shape, wide):
        if core is tensor and tensor.numel() > max(THREADED_NUMBERS, core.shape[mode] ** 2):
            vectors = ways(dtype, tall=False)[0].spectrum(core, mode, World.alone(), True)[1][:, : wide[mode]]
        else:
            vectors = _leading(rows_of(core, mode).double(), wide[mode])
        bases[mode] = vectors
        core = mode_product(core, vectors.T.to(core.dtype), mode).double()
    return _core(core.double().contiguous() / norm, bases, dtype)


def _shortest_first(shape: Sequence[int], wide: list[int]) -> list[int]:
    """The modes that become shorter: the last one first where it is nearly the shortest, for it needs no copy."""
    entries = math.prod(shape)
    modes = sorted(
        (n for n, rows in enumerate(shape) if wide[n] < rows), key=lambda n: min(shape[n], entries // shape[n])
    )
    last = len(shape) - 1
    if last in modes and shape[last] <= LAST_MARGIN * shape[modes[0]]:
        modes.remove(last)
        modes.insert(0, last)
    return modes


def _leading(rows: Tensor, count: int) -> Tensor:
    """Orthonormal columns that span the leading left singular vectors of a matrix in float64."""
    if len(rows) <= rows.shape[1]:
        vectors: Tensor = torch.linalg.eigh(rows @ rows.T)[1][:, -count:]
        return vectors
    basis: Tensor = torch.linalg.qr(rows @ torch.linalg.eigh(rows.T @ rows)[1][:, -count:])[0]
    return basis


def _of_dense(share: DenseShare, data: Data, wide: list[int], seed: int) -> Core:
    slab, norm, _ = in_safe_unit(share.slab, data.norm, SAFE_NORM)
    kept = [Truncation(columns, 0.0) for columns in wide]
    core, bases = st_hosvd(slab, kept, "randomized", seed, data.world)
    return _core(core.double().cpu() / norm, bases, share.dtype)


def _of_sparse(share: SparseShare, data: Data, wide: list[int], seed: int) -> Core | None:
    """By a sketch of each mode, and the products of all columns of the other modes with the nonzeros."""
    order = len(wide)
    lead = max(range(order), key=lambda n: wide[n])
    others = [n for n in range(order) if n != lead]
    columns = math.prod(wide[n] for n in others)
    if columns > SPARSE_COLUMNS:
        return None
    found = singular(share, max(wide), seed, data.world)
    bases = [
        _orthonormal(rows[:, :count], layer, data.world)
        for rows, count, layer in zip(found, wide, share.layers, strict=True)
    ]
    index = torch.cartesian_prod(*[torch.arange(wide[n], device=share.device) for n in others]).reshape(columns, -1)
    parts = []
    for some in torch.split(index, max(wide)):  # No more columns at a time than a sweep has, about.
        factors = [bases[lead][:, :1].expand(-1, len(some)).contiguous()] * order
        for place, n in enumerate(others):
            factors[n] = bases[n][:, some[:, place]].contiguous()
        layer = share.layers[lead]
        rows = layer.combine(share.mttkrp(lead, factors)) / data.norm
        parts.append(layer.total(bases[lead][layer.own].T.double() @ rows.double(), data.world))
    core = torch.cat(parts, 1).reshape([wide[lead], *[wide[n] for n in others]]).movedim(0, lead).contiguous().cpu()
    return _core(core, bases, share.dtype)


def _orthonormal(rows: Tensor, layer: Layer, world: World) -> Tensor:
    """The held rows of a mode's columns, turned and scaled to be orthonormal over all ranks."""
    own = rows[layer.own].double()
    lower = torch.linalg.cholesky(layer.total(own.T @ own, world))
    turn = torch.linalg.solve_triangular(
        lower, torch.eye(len(lower), dtype=lower.dtype, device=lower.device), upper=False
    )
    basis: Tensor = rows @ turn.T.to(rows.dtype)
    return basis


def _core(tensor: Tensor, bases: Sequence[Tensor | None], dtype: torch.dtype) -> Core:
    """The core, which missed nothing where that would be the round-off of the data."""
    missed = 1 - tensor.square().sum().item()
    return Core(tensor, list(bases), missed if missed > TRUSTED_ROUND_OFFS * torch.finfo(dtype).eps else 0.0)
