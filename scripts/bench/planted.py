"""Tensors whose components are known: what a fit is to find."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WITHIN = 1.02
"""A fit succeeds whose error is within 2 % of that of the components that were planted."""
ROUND_OFF = 2e-6
"""Beside an error of zero: what float32 leaves."""


@dataclass(frozen=True)
class Family:
    """Planted tensors of one kind.

    cosine: between any two components' columns, in every mode; random directions where it is 0. noise: its norm as a
    part of that of the tensor. lengths: of the longest component over the shortest.
    """

    shape: tuple[int, ...]
    rank: int
    cosine: float = 0.0
    noise: float = 0.0
    lengths: float = 1.0

    def title(self) -> str:
        """In words."""
        parts = [" x ".join(map(str, self.shape)), f"rank {self.rank}"]
        parts += [f"cosine {self.cosine:g}"] if self.cosine else []
        parts += [f"noise {100 * self.noise:g} %"]
        return ", ".join(parts + ([f"lengths 1 : {self.lengths:g}"] if self.lengths > 1 else []))

    def planted(self, seed: int) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
        """A tensor of float32, and its factors (I_n x R, columns of length 1, the lengths in the first)."""
        random = np.random.default_rng(seed)
        factors = [_columns(random, rows, self.rank, self.cosine) for rows in self.shape]
        factors[0] = factors[0] * np.logspace(0, math.log10(self.lengths), self.rank)
        signal = whole(factors)
        noise = random.standard_normal(self.shape)
        size = self.noise / math.sqrt(1 - self.noise**2) * np.linalg.norm(signal) / np.linalg.norm(noise)
        return (signal + size * noise).astype(np.float32), factors

    def found(
        self, tensor: NDArray[np.float32], model: NDArray[np.float64], factors: list[NDArray[np.float64]]
    ) -> bool:
        """Whether a model, as a whole tensor, fits within 2 % as well as the components that were planted."""
        reference = error(tensor, whole(factors)) if self.noise else 0.0
        return error(tensor, model) <= WITHIN * reference + ROUND_OFF


def error(tensor: NDArray[np.float32], model: NDArray[np.float64]) -> float:
    """|X - Y| / |X|."""
    exact = tensor.astype(np.float64)
    return float(np.linalg.norm(exact - model) / np.linalg.norm(exact))


def whole(factors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The tensor of factors I_n x R."""
    rows = factors[0]
    for factor in factors[1:-1]:
        rows = (rows[:, None] * factor).reshape(-1, factor.shape[1])
    return (rows @ factors[-1].T).reshape([len(factor) for factor in factors])


def _columns(random: np.random.Generator, rows: int, rank: int, cosine: float) -> NDArray[np.float64]:
    columns = random.standard_normal((rows, rank))
    if cosine:
        shared = random.standard_normal((rows, 1))
        shared /= np.linalg.norm(shared)
        columns -= shared @ (shared.T @ columns)
        columns = math.sqrt(cosine) * shared + math.sqrt(1 - cosine) * columns / np.linalg.norm(columns, axis=0)
    return np.asarray(columns / np.linalg.norm(columns, axis=0))


def matrix_multiplication(size: int) -> NDArray[np.float64]:
    """The tensor of the product of two matrices of size x size: zeros and ones, size² rows a mode, of low rank."""
    tensor = np.zeros([size**2] * 3)
    i, j, k = np.indices((size, size, size)).reshape(3, -1)
    tensor[i * size + j, j * size + k, k * size + i] = 1
    return tensor


def degenerate(rows: int) -> NDArray[np.float64]:
    """a ∘ a ∘ b + a ∘ b ∘ a + b ∘ a ∘ a, of rank 3, which models of rank 2 come as near as one likes."""
    a, b = np.random.default_rng(0).standard_normal((2, rows))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    terms = [np.einsum("i,j,k->ijk", *term) for term in ((a, a, b), (a, b, a), (b, a, a))]
    return np.asarray(sum(terms))
