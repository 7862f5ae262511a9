"""CP of Indian Pines (145 x 145 x 200) at rank 10 after 50 sweeps: the error, and how two programs measure it."""

from __future__ import annotations

import numpy as np
import tensorly
import torch
from tensorly.cp_tensor import CPTensor as TheirTensor
from tensorly.cp_tensor import cp_to_tensor
from tensorly.datasets import load_indian_pines
from tensorly.decomposition import parafac

from polyadic.decomposition.cp.als import cp
from polyadic.decomposition.cp.start import random
from polyadic.distributed import World
from polyadic.tensor.dense import Slab, reconstruct
from polyadic.tensor.dense_share import DenseShare

RANK, SWEEPS = 10, 50


def run() -> None:
    """Prints what each program reports and what an explicit reconstruction in float64 says."""
    tensorly.set_backend("pytorch")
    tensor = torch.from_numpy(np.asarray(load_indian_pines().tensor, dtype=np.float64))
    print("| program | precision | reports | by reconstruction |\n|---|---|---|---|")
    for dtype in (torch.float32, torch.float64):
        x, name = tensor.to(dtype), str(dtype).removeprefix("torch.")
        ours = cp(x, RANK, max_iterations=SWEEPS, tol=0)
        whole = reconstruct(ours.weights, [factor.double() for factor in ours.factors])
        print(f"| polyadic | {name} | {ours.relative_error:.4f} | {_error(tensor, whole):.4f} |")
        first = TheirTensor((None, random(DenseShare(Slab.whole(x), World.alone()), RANK, 0)))
        theirs, errors = parafac(x, RANK, n_iter_max=SWEEPS, tol=0, init=first, return_errors=True)
        print(f"| TensorLy | {name} | {float(errors[-1]):.4f} | {_error(tensor, cp_to_tensor(theirs).double()):.4f} |")
    print(f"\n|X| is {tensor.norm():.0f}; torch's float32 norm says {tensor.float().norm():.0f}")


def _error(tensor: torch.Tensor, model: torch.Tensor) -> float:
    return float((tensor - model).norm() / tensor.norm())
