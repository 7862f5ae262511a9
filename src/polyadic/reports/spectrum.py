"""How the energy of a decomposition falls off: CP's weights, Tucker's core, the bonds of a tensor train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.tensor.numbered_names import in_order


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Curves that fall.

    curves: the values of each by its name, largest first. ticks: names of the values of a single curve.
    """

    title: str
    x_label: str
    y_label: str
    curves: Mapping[str, NDArray[np.float64]]
    ticks: tuple[str, ...] = ()
    logarithmic: bool = False


def spectra(tensors: Mapping[str, Tensor]) -> list[Spectrum]:
    """The spectra of a model by the names of its tensors.

    These are `weights` (R), `core` (R_1 x ... x R_N), or a tensor train's `core_0`, `core_1`, ... (r x I x r').
    """
    if "weights" in tensors:
        return [_weights(tensors["weights"])]
    if "core" in tensors:
        return [_core(tensors["core"])]
    return _train(in_order("core", tensors))


def strongest_first(weights: Tensor) -> list[int]:
    """The numbers of the R components of a CP tensor, by the size of their weights (R)."""
    order: list[int] = weights.abs().argsort(descending=True, stable=True).tolist()
    return order


def _weights(weights: Tensor) -> Spectrum:
    order = strongest_first(weights)
    sizes = weights.double().abs().cpu().numpy()[order]
    several = f"Weights of {len(sizes)} components: {sizes[0]:,.4g} down to {sizes[-1]:,.4g}"
    single = f"Weight of the one component: {sizes[0]:,.4g}"
    return Spectrum(
        title=several if len(sizes) > 1 else single,
        x_label="component, strongest first",
        y_label="weight",
        curves={"weight": sizes},
        ticks=tuple(map(str, order)),
    )


def _core(core: Tensor) -> Spectrum:
    """The shares of the energy, |the core's slice at each row of a mode|² / |core|².

    For an all-orthogonal core (HOSVD) they are the squares of the mode's singular values, over their sum: De Lathauwer,
    De Moor and Vandewalle, SIAM J. Matrix Anal. Appl. 2000, theorem 2.
    """
    squares = core.detach().double().square().cpu()
    total = squares.sum().clamp_min(torch.finfo(squares.dtype).tiny)
    curves = {}
    for mode in range(core.ndim):
        energy = squares.movedim(mode, 0).flatten(1).sum(1) / total
        curves[f"mode {mode}"] = energy.sort(descending=True).values.numpy()
    largest = (squares.max() / total).item()
    return Spectrum(
        title=f"Energy of the {' x '.join(map(str, core.shape))} core: its largest entry holds {largest:.1%}",
        x_label="slice of the core along the mode, largest first",
        y_label="share of the energy",
        curves=curves,
        logarithmic=True,
    )


def _train(cores: Sequence[Tensor]) -> list[Spectrum]:
    bonds = [f"{n} | {n + 1}" for n in range(len(cores) - 1)]
    ranks = np.array([core.shape[2] for core in cores[:-1]], dtype=np.float64)
    values = zip(bonds, bond_singular_values(cores), strict=True)
    return [
        Spectrum(
            title=f"Bond ranks of the train: {ranks.max():.0f} at most",
            x_label="bond between modes",
            y_label="rank",
            curves={"rank": ranks},
            ticks=tuple(bonds),
        ),
        Spectrum(
            title="Singular values at each bond: a lower rank loses those it cuts off",
            x_label="singular value, largest first",
            y_label="singular value",
            curves={f"bond {bond}": sizes for bond, sizes in values},
            logarithmic=True,
        ),
    ]


def bond_singular_values(cores: Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """The singular values of the train's unfoldings at each of its N - 1 bonds, largest first, from the cores alone.

    cores: N of r x I x r'. They are made orthogonal from the right, then each bond takes one SVD: Oseledets, SIAM J.
    Sci. Comput. 2011, algorithm 2.
    """
    cores = [core.detach().double().cpu() for core in cores]
    for n in range(len(cores) - 1, 0, -1):
        left, rows, right = cores[n].shape
        q, r = torch.linalg.qr(cores[n].reshape(left, rows * right).T)
        cores[n] = q.T.reshape(-1, rows, right)
        cores[n - 1] = cores[n - 1] @ r.T
    spectra_of_bonds = []
    carried = torch.eye(cores[0].shape[0], dtype=torch.float64)
    for core in cores[:-1]:
        _, sizes, right_vectors = torch.linalg.svd(torch.tensordot(carried, core, 1).flatten(0, 1), full_matrices=False)
        spectra_of_bonds.append(sizes.numpy())
        carried = sizes[:, None] * right_vectors
    return spectra_of_bonds
