"""Two ranks against one, one thread each, on the sparse tensor of cp_sparse: seconds a sweep."""

from __future__ import annotations

import statistics
import sys

import torch

from polyadic.decomposition.cp.als import Data, Progress, cp
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Case, of_ranks
from scripts.bench.sparse_data import zipf

RANK, SWEEPS = 16, 60
NONZEROS = (2_000_000, 10_000_000)


def run() -> None:
    """Starts the ranks as torch.distributed.run would; with more nonzeros the same factors travel."""
    for nonzeros in NONZEROS:
        figures = {
            "one rank": of_ranks(1, "scripts.bench.cp_ranks", str(nonzeros)),
            OURS: of_ranks(2, "scripts.bench.cp_ranks", str(nonzeros)),
        }
        name = f"sparse CP-ALS, {nonzeros:,} nonzeros, two ranks of one thread each"
        Case(name, figures, {"one rank": 1.7}).report()


def _rank(nonzeros: int) -> None:
    torch.set_num_threads(1)
    world, whole, times = World.join(), zipf(nonzeros), list[float]()
    mine = slice(world.rank, None, world.size)
    part = SparseTensor(whole.indices[:, mine].contiguous(), whole.values[mine].contiguous(), whole.shape)

    def note(at: Progress) -> bool:
        times.append(at.seconds)
        return True

    cp(Data.of(part, world), RANK, max_iterations=SWEEPS, tol=0, after_sweep=note)
    print(statistics.median(times[5:]), flush=True)
    world.leave()


if __name__ == "__main__":
    _rank(int(sys.argv[1]))
