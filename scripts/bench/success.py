"""One call on planted tensors with unknown entries, with nonnegative factors, or of other kinds than CP."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import tensorly
import torch
from numpy.typing import NDArray
from tensorly.decomposition import non_negative_parafac_hals, non_negative_tucker_hals, parafac
from tensorly.decomposition import tucker as tensorly_tucker

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.train.completion import complete_tensor_train
from polyadic.decomposition.tucker.fit import tucker
from scripts.bench.measure import OURS, Bound, Case, seconds
from scripts.bench.planted import ROUND_OFF, WITHIN, Family, whole

Array: TypeAlias = NDArray[np.float64]
Known: TypeAlias = NDArray[np.bool_]
Fit: TypeAlias = Callable[[Array, Known, int], Array]
"""Of a tensor, the mask of its known entries and a seed: the whole model."""

SEEDS, PEERS_SEEDS = 20, 5
LEAST_SHARE = 0.95


@dataclass(frozen=True)
class Kind:
    """Tensors of one kind: signal(random) is planted, noise its part of the norm, part the share of known entries."""

    title: str
    signal: Callable[[np.random.Generator], Array]
    noise: float
    part: float
    ours: Fit
    theirs: Fit | None

    def drawn(self, seed: int) -> tuple[Array, Array, Known]:
        """A tensor, what was planted in it, and the mask of its known entries."""
        random = np.random.default_rng(1000 + seed)
        signal = self.signal(random)
        rough = random.standard_normal(signal.shape)
        size = self.noise / (1 - self.noise**2) ** 0.5 * np.linalg.norm(signal) / np.linalg.norm(rough)
        tensor: Any = (signal + size * rough).astype(np.float32)
        return tensor, signal, random.random(signal.shape) < self.part


def run() -> Iterator[Case]:
    """The share of calls whose error over the known entries is within 2 % of that of what was planted."""
    for key, kind in KINDS.items():
        ours, took = _tried(kind, kind.ours, SEEDS)
        figures, facts = {OURS: took}, {OURS: f"{100 * ours:.0f} %"}
        if kind.theirs is not None:
            share, figures["TensorLy"] = _tried(kind, kind.theirs, PEERS_SEEDS)
            facts["TensorLy"] = f"{100 * share:.0f} %"
        yield Case(
            key=key,
            title=f"One call: {kind.title}",
            figures=figures,
            unit="seconds per call",
            bounds=[Bound("share of calls that succeed", ours, LEAST_SHARE, "value at least")],
            facts={"succeed": ", ".join(f"{name} {text}" for name, text in facts.items())},
        ).reported()


def _tried(kind: Kind, fit: Fit, seeds: int) -> tuple[float, float]:
    """The share of calls that succeed, and the median seconds of a call."""
    found, took = 0, []
    for seed in range(seeds):
        tensor, signal, known = kind.drawn(seed)
        models: list[Array] = []
        took.append(seconds(lambda: models.append(fit(tensor, known, seed))))  # noqa: B023
        errors = [np.linalg.norm((tensor - each)[known]) for each in (models[0], signal)]
        found += bool(errors[0] <= WITHIN * errors[1] + ROUND_OFF * np.linalg.norm(tensor[known]))
    return found / seeds, statistics.median(took)


def _cp(rank: int, nonnegative: bool, tensor: Array, known: Known, seed: int) -> Array:
    gaps = not known.all()
    data = torch.from_numpy(np.where(known, tensor, np.nan) if gaps else tensor)
    model = cp(data, rank, observed=gaps, nonnegative=nonnegative, seed=seed)
    factors = [factor.double().numpy() for factor in model.factors]
    return whole([factors[0] * model.weights.numpy(), *factors[1:]])


def _tensorly_cp(rank: int, tensor: Array, known: Known, seed: int) -> Array:
    mask: dict[str, Any] = {} if known.all() else {"mask": known}
    with tensorly.backend_context("numpy", local_threadsafe=True):
        filled = np.where(known, tensor, 0)
        return np.asarray(tensorly.cp_to_tensor(parafac(filled, rank, init="random", random_state=seed, **mask)))


def _tensorly_nonnegative(rank: int, tensor: Array, known: Known, seed: int) -> Array:
    with tensorly.backend_context("numpy", local_threadsafe=True):
        return np.asarray(tensorly.cp_to_tensor(non_negative_parafac_hals(tensor.clip(0), rank, random_state=seed)))


def _tucker(ranks: list[int], method: str, tensor: Array, known: Known, seed: int) -> Array:
    data: Any = torch.from_numpy(tensor.clip(0) if method == "nonnegative" else tensor)
    kind: Any = method
    return np.asarray(tucker(data, ranks, method=kind, seed=seed).full().double().numpy())


def _tensorly_tucker(ranks: list[int], method: str, tensor: Array, known: Known, seed: int) -> Array:
    with tensorly.backend_context("numpy", local_threadsafe=True):
        if method == "nonnegative":
            model = non_negative_tucker_hals(tensor.clip(0), ranks, random_state=seed)
        else:
            model = tensorly_tucker(tensor, ranks, random_state=seed)
        return np.asarray(tensorly.tucker_to_tensor(model))


def _train(rank: int, tensor: Array, known: Known, seed: int) -> Array:
    index, values = torch.from_numpy(np.argwhere(known).T.copy()), torch.from_numpy(tensor[known])
    return np.asarray(complete_tensor_train(index, values, tensor.shape, rank, seed=seed).full().double().numpy())


def _nonnegative(shape: tuple[int, ...], rank: int, zeros: float, random: np.random.Generator) -> Array:
    factors = [random.random((rows, rank)) * (random.random((rows, rank)) >= zeros) for rows in shape]
    return whole([factors[0] * np.logspace(0, 1, rank), *factors[1:]])


def _core(shape: tuple[int, ...], ranks: list[int], nonnegative: bool, random: np.random.Generator) -> Array:
    draw = random.random if nonnegative else random.standard_normal
    signal = np.asarray(draw(ranks))
    for mode, (rows, rank) in enumerate(zip(shape, ranks, strict=True)):
        signal = np.moveaxis(np.tensordot(draw((rows, rank)), signal, (1, mode)), 0, mode)
    return signal


def _cores(shape: tuple[int, ...], rank: int, random: np.random.Generator) -> Array:
    bonds, rows = [1, *[rank] * (len(shape) - 1), 1], np.ones((1, 1))
    for n, size in enumerate(shape):
        core = random.standard_normal((bonds[n], size, bonds[n + 1]))
        rows = np.tensordot(rows.reshape(-1, bonds[n]), core, 1).reshape(-1, bonds[n + 1])
    return rows.reshape(shape)


def _masked(family: Family, part: float) -> Kind:
    def signal(random: np.random.Generator) -> Array:
        return whole(family.planted(int(random.integers(2**31)))[1])

    title = f"{family.title()}, {100 * part:g} % of the entries known"
    return Kind(title, signal, family.noise, part, partial(_cp, family.rank, False), partial(_tensorly_cp, family.rank))


def _positive(shape: tuple[int, ...], rank: int, zeros: float, noise: float) -> Kind:
    size = " x ".join(map(str, shape))
    title = f"nonnegative CP, {size}, rank {rank}, {100 * zeros:g} % zeros, noise {100 * noise:g} %"
    ours = partial(_cp, rank, True)
    theirs = partial(_tensorly_nonnegative, rank)
    return Kind(title, partial(_nonnegative, shape, rank, zeros), noise, 1.0, ours, theirs)


def _tuckers(shape: tuple[int, ...], ranks: list[int], method: str, noise: float) -> Kind:
    title = f"Tucker, {method}, {' x '.join(map(str, shape))}, ranks {ranks}, noise {100 * noise:g} %"
    signal = partial(_core, shape, ranks, method == "nonnegative")
    return Kind(title, signal, noise, 1.0, partial(_tucker, ranks, method), partial(_tensorly_tucker, ranks, method))


def _trains(shape: tuple[int, ...], rank: int, part: float, noise: float) -> Kind:
    known = f"{100 * part:g} % of the entries known"
    title = f"tensor train, {' x '.join(map(str, shape))}, rank {rank}, {known}, noise {100 * noise:g} %"
    return Kind(title, partial(_cores, shape, rank), noise, part, partial(_train, rank), None)


KINDS = {
    "masked_half": _masked(Family((90, 70, 50), 5, noise=0.1), 0.5),
    "masked_tenth": _masked(Family((90, 70, 50), 5, noise=0.1), 0.1),
    "masked_lengths": _masked(Family((90, 70, 50), 5, noise=0.1, lengths=100), 0.2),
    "masked_collinear": _masked(Family((40, 40, 40), 5, cosine=0.9, noise=0.01), 0.5),
    "masked_ten": _masked(Family((30, 30, 30), 10, cosine=0.5, noise=0.01), 0.7),
    "masked_small": _masked(Family((25, 20, 15), 12, noise=0.01), 0.9),
    "masked_order_4": _masked(Family((20, 20, 20, 20), 3, cosine=0.5, noise=0.5, lengths=10), 0.2),
    "nonnegative": _positive((90, 70, 50), 5, 0.0, 0.1),
    "nonnegative_zeros": _positive((100, 50, 30), 8, 0.5, 0.1),
    "nonnegative_exact": _positive((40, 20, 12), 6, 0.0, 0.0),
    "nonnegative_order_4": _positive((20, 20, 20, 20), 3, 0.0, 0.5),
    "hooi": _tuckers((40, 40, 40), [5, 5, 5], "hooi", 0.5),
    "hooi_noisy": _tuckers((40, 40, 40), [3, 3, 3], "hooi", 0.97),
    "tucker_nonnegative": _tuckers((40, 40, 40), [4, 3, 2], "nonnegative", 0.1),
    "tucker_nonnegative_order_4": _tuckers((20, 20, 20, 20), [3, 2, 3, 2], "nonnegative", 0.1),
    "train": _trains((40, 40, 40), 5, 0.2, 0.01),
    "train_order_4": _trains((20, 20, 20, 20), 4, 0.1, 0.1),
    "train_order_6": _trains((10,) * 6, 3, 0.01, 0.0),
}
