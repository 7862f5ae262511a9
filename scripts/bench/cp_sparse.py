"""Sparse CP-ALS, rank 16: seconds a sweep against pyttb, and a sweep's bytes against the machine's copy bandwidth."""

from __future__ import annotations

import numpy as np
import pyttb
import torch

from polyadic.decomposition.cp.als import Data, cp
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare
from scripts.bench.measure import OURS, Case, a_sweep, copy_bandwidth, in_turn, seconds
from scripts.bench.sparse_data import read_tns, zipf

RANK = 16


def run() -> None:
    """The made tensor of 2 million nonzeros, and SPLATT's two."""
    cases = {"2,000 x 10,000 x 20,000, 2 million nonzeros": (zipf(2_000_000), 80.0)}
    for name in ("med.tns", "med4.tns"):
        if (tensor := read_tns(name)) is not None:
            cases[name] = (tensor, 15.0)
    for name, (tensor, target) in cases.items():
        data, theirs = Data.of(tensor, World.alone()), _theirs(tensor)
        figures = in_turn(
            {
                OURS: a_sweep(lambda n, x=data: cp(x, RANK, max_iterations=n, tol=0), 5, 20),  # type: ignore[misc]
                "pyttb": a_sweep(lambda n, x=theirs: _pyttb(x, n), 1, 2),  # type: ignore[misc]
            },
            rounds=3,
        )
        if torch.cuda.is_available():
            figures |= _on_gpu(tensor)
        Case(
            f"sparse CP-ALS {name}, rank {RANK}", figures, {"pyttb": target}, more=_bytes(data, figures[OURS])
        ).report()


def _theirs(tensor: SparseTensor) -> pyttb.sptensor:
    index, values = tensor.indices.T.numpy().astype(np.int64), tensor.values.double().numpy()[:, None]
    return pyttb.sptensor(index, values, tensor.shape)


def _pyttb(tensor: pyttb.sptensor, sweeps: int) -> None:
    pyttb.cp_als(tensor, RANK, stoptol=0, maxiters=sweeps, printitn=0)


def _bytes(data: Data, sweep: float) -> dict[str, str]:
    """What a sweep reads, where its time goes, and what the copy bandwidth would make of it."""
    share = data.share
    assert isinstance(share, SparseShare)
    order = len(share.shape)
    factors = [torch.rand(rows, RANK) for rows in share.shape]
    kernels = sum(min(seconds(lambda m=mode: share.mttkrp(m, factors)) for _ in range(7)) for mode in range(order))  # type: ignore[misc]
    trees = sum(share.trees[mode].bytes for mode in range(order))
    gathered = order * (order - 1) * share.nonzeros * RANK * 4
    bandwidth = copy_bandwidth()
    return {
        "bytes of the trees": f"{trees / 1e6:.1f} MB, {trees / bandwidth * 1e3:.2f} ms at {bandwidth / 1e9:.1f} GB/s",
        "rows gathered": f"{gathered / 1e6:.0f} MB, most of them from the caches: "
        f"{gathered / kernels / 1e9:.0f} GB/s in the kernels",
        "kernels' part of a sweep": f"{kernels * 1e3:.2f} of {sweep * 1e3:.2f} ms; the rest: Gram matrices, solves",
    }


def _on_gpu(tensor: SparseTensor) -> dict[str, float]:
    data = Data.of(tensor.to(torch.device("cuda")), World.alone("cuda"))
    return in_turn({"polyadic on the GPU": a_sweep(lambda n: cp(data, RANK, max_iterations=n, tol=0), 5, 20)})
