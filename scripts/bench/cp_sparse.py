"""Sparse CP-ALS, rank 16: seconds per sweep against pyttb, and a sweep's bytes against the machine's copy bandwidth."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyttb
import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.sparse_share import SparseShare
from scripts.bench.measure import OURS, Case, copy_bandwidth, in_turn, seconds, seconds_per_sweep
from scripts.bench.sparse_data import read_tns, zipf

RANK, KERNEL_ROUNDS, FLOAT_BYTES = 16, 7, 4
FEW_SWEEPS, MORE_SWEEPS = 5, 20
PYTTB_FEW_SWEEPS, PYTTB_MORE_SWEEPS = 1, 2


def run() -> Iterator[Case]:
    """The made tensor of 2 million nonzeros, and SPLATT's two."""
    yield _case("zipf", "2,000 x 10,000 x 20,000, 2 million nonzeros", zipf(2_000_000), 80.0).reported()
    for name in ("med", "med4"):
        yield _case(name, f"{name}.tns", read_tns(f"{name}.tns"), 15.0).reported()


def _case(key: str, name: str, tensor: SparseTensor, target: float) -> Case:
    data, theirs = Data.of(tensor, World.alone()), _theirs(tensor)
    figures = in_turn(
        {
            OURS: seconds_per_sweep(partial(_ours, data), FEW_SWEEPS, MORE_SWEEPS),
            "pyttb": seconds_per_sweep(partial(_pyttb, theirs), PYTTB_FEW_SWEEPS, PYTTB_MORE_SWEEPS),
        },
        rounds=3,
    )
    if torch.cuda.is_available():
        there = Data.of(tensor.to(torch.device("cuda")), World.alone("cuda"))
        contender = seconds_per_sweep(partial(_ours, there), FEW_SWEEPS, MORE_SWEEPS)
        figures |= in_turn({"polyadic on the GPU": contender})
    title, facts = f"sparse CP-ALS, {name}, rank {RANK}", _bytes(data, figures[OURS])
    return Case(key=key, title=title, figures=figures, targets={"pyttb": target}, facts=facts)


def _ours(data: Data, sweeps: int) -> None:
    cp(data, RANK, max_iterations=sweeps, stop_tol=0, method="als")


def _theirs(tensor: SparseTensor) -> pyttb.sptensor:
    index, values = tensor.indices.T.numpy().astype(np.int64), tensor.values.double().numpy()[:, None]
    return pyttb.sptensor(index, values, tensor.shape)


def _pyttb(tensor: pyttb.sptensor, sweeps: int) -> None:
    pyttb.cp_als(tensor, RANK, stoptol=0, maxiters=sweeps, printitn=0)


def _bytes(data: Data, sweep_seconds: float) -> dict[str, str]:
    """What a sweep reads, where its time goes, and what the copy bandwidth would make of it."""
    share = data.share
    assert isinstance(share, SparseShare)
    order = len(share.shape)
    factors = [torch.rand(rows, RANK) for rows in share.shape]
    products = [partial(share.mttkrp, mode, factors) for mode in range(order)]
    kernels = sum(min(seconds(product) for _ in range(KERNEL_ROUNDS)) for product in products)
    trees = sum(share.trees[mode].bytes for mode in range(order))
    gathered = order * (order - 1) * share.nonzeros * RANK * FLOAT_BYTES
    bandwidth = copy_bandwidth()
    return {
        "bytes of the trees": f"{trees / 1e6:.1f} MB, {trees / bandwidth * 1e3:.2f} ms at {bandwidth / 1e9:.1f} GB/s",
        "rows gathered": f"{gathered / 1e6:.0f} MB, most of them from the caches: "
        f"{gathered / kernels / 1e9:.0f} GB/s in the kernels",
        "kernels' part of a sweep": f"{kernels * 1e3:.2f} of {sweep_seconds * 1e3:.2f} ms; the rest: Gram matrices, "
        "solves",
    }
