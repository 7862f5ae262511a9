"""CP of Indian Pines (145 x 145 x 200) at rank 10 after 50 sweeps: the error, and how two programs measure it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorly
import torch
from tensorly.cp_tensor import CPTensor as TheirTensor
from tensorly.cp_tensor import cp_to_tensor
from tensorly.datasets import load_indian_pines
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.start import random
from polyadic.distributed import World
from polyadic.tensor.dense import Slab, reconstruct
from polyadic.tensor.dense_share import DenseShare
from scripts.bench.measure import OURS, Case

RANK, SWEEPS = 10, 50
REPORTED, RECONSTRUCTED = "error that the program reports", "error by reconstruction in float64"


def run() -> Iterator[Case]:
    """What each program reports, and what an explicit reconstruction in float64 says."""
    tensor = torch.from_numpy(np.asarray(load_indian_pines().tensor, dtype=np.float64))
    print("| program | precision | reports | by reconstruction |\n|---|---|---|---|")
    for dtype in (torch.float32, torch.float64):
        name = str(dtype).removeprefix("torch.")
        programs = {OURS: _ours(tensor, dtype), "TensorLy": _theirs(tensor, dtype)}
        for program, (reported, true) in programs.items():
            print(f"| {program} | {name} | {reported:.4f} | {true:.4f} |")
        for key, about, place in (("reported", REPORTED, 0), ("reconstructed", RECONSTRUCTED, 1)):
            figures = {program: errors[place] for program, errors in programs.items()}
            title = f"Indian Pines, rank {RANK}, {SWEEPS} sweeps in {name}: {about}"
            yield Case(key=f"{name}_{key}", title=title, figures=figures, unit="relative error")
    print(f"\n|X| is {tensor.norm():.0f}; torch's float32 norm says {tensor.float().norm():.0f}")


def _ours(tensor: torch.Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """The error that polyadic reports, and the true one."""
    model = cp(tensor.to(dtype), RANK, max_iterations=SWEEPS, stop_tol=0, method="als")
    whole = reconstruct(model.weights, [factor.double() for factor in model.factors])
    return model.relative_error, _error(tensor, whole)


def _theirs(tensor: torch.Tensor, dtype: torch.dtype) -> tuple[float, float]:
    """The error that TensorLy reports from the same start, and the true one."""
    x = tensor.to(dtype)
    factors = random(DenseShare(Slab.whole(x), World.alone()), RANK, 0)
    with tensorly.backend_context("pytorch", local_threadsafe=True):
        start = TheirTensor((None, factors))
        model, errors = parafac(x, RANK, n_iter_max=SWEEPS, tol=0, init=start, return_errors=True)
        return float(errors[-1]), _error(tensor, cp_to_tensor(model).double())


def _error(tensor: torch.Tensor, model: torch.Tensor) -> float:
    return float((tensor - model).norm() / tensor.norm())
