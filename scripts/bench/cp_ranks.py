"""Two ranks against one, one thread each, on the sparse tensor of cp_sparse: seconds per sweep."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Case, of_ranks
from scripts.bench.sparse_data import zipf

RANK, SWEEPS, FIRST_SWEEPS = 16, 60, 5
SIZES = {"2_million": (2_000_000, {"one rank": 1.7}), "10_million": (10_000_000, {"one rank": 1.7})}


def run() -> Iterator[Case]:
    """Starts the ranks as torch.distributed.run would; the same factors travel however many nonzeros there are."""
    for key, (nonzeros, targets) in SIZES.items():
        figures = {
            "one rank": of_ranks(1, "scripts.bench.cp_ranks", str(nonzeros)),
            OURS: of_ranks(2, "scripts.bench.cp_ranks", str(nonzeros)),
        }
        title = f"sparse CP-ALS, {nonzeros:,} nonzeros, two ranks of one thread each"
        yield Case(key=key, title=title, figures=figures, targets=targets).reported()


def _rank(nonzeros: int) -> None:
    torch.set_num_threads(1)
    world, whole, times = World.join(), zipf(nonzeros), list[float]()
    mine = slice(world.rank, None, world.size)
    part = SparseTensor(whole.indices[:, mine].contiguous(), whole.values[mine].contiguous(), whole.shape)

    def note(progress: Progress) -> bool:
        times.append(progress.seconds)
        return True

    cp(Data.of(part, world), RANK, max_iterations=SWEEPS, stop_tol=0, after_sweep=note, method="als")
    print(statistics.median(times[FIRST_SWEEPS:]), flush=True)
    world.leave()


if __name__ == "__main__":
    _rank(int(sys.argv[1]))
