"""Two ranks against one, one thread each: sweeps of the sparse tensor of cp_sparse, and whole fits of dense ones."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator

import torch

from polyadic.decomposition.cp.fit import cp
from polyadic.decomposition.cp.progress import Progress
from polyadic.decomposition.data import Data
from polyadic.distributed import World
from polyadic.tensor.dense import Slab, share
from polyadic.tensor.sparse import SparseTensor
from scripts.bench.measure import OURS, Case, of_ranks, seconds
from scripts.bench.sparse_data import zipf

RANK, SWEEPS, FIRST_SWEEPS, FITS = 16, 60, 5, 5
TARGETS = {"one rank": 1.7}
SPARSE = {"2_million": 2_000_000, "10_million": 10_000_000}
DENSE = {"cube": (300, 300, 300), "long": (1000, 1000, 100)}


def run() -> Iterator[Case]:
    """Starts the ranks as torch.distributed.run would; the same factors travel however many nonzeros there are."""
    for key, nonzeros in SPARSE.items():
        yield _case(key, f"sparse CP-ALS, {nonzeros:,} nonzeros", "seconds per sweep", "sparse", str(nonzeros))
    for key, shape in DENSE.items():
        title = f"the best fit of a dense tensor, {' x '.join(map(str, shape))}, rank {RANK}"
        yield _case(key, title, "seconds per fit", "dense", *map(str, shape))


def _case(key: str, title: str, unit: str, *arguments: str) -> Case:
    figures = {
        "one rank": of_ranks(1, "scripts.bench.cp_ranks", *arguments),
        OURS: of_ranks(2, "scripts.bench.cp_ranks", *arguments),
    }
    title = f"{title}, two ranks of one thread each"
    return Case(key=key, title=title, figures=figures, unit=unit, targets=TARGETS).reported()


def _sparse(world: World, nonzeros: str) -> float:
    """The median seconds of a sweep."""
    whole, times = zipf(int(nonzeros)), list[float]()
    mine = slice(world.rank, None, world.size)
    part = SparseTensor(whole.indices[:, mine].contiguous(), whole.values[mine].contiguous(), whole.shape)

    def note(progress: Progress) -> bool:
        times.append(progress.seconds)
        return True

    cp(Data.of(part, world), RANK, max_iterations=SWEEPS, stop_tol=0, after_sweep=note, method="als")
    return statistics.median(times[FIRST_SWEEPS:])


def _dense(world: World, *sides: str) -> float:
    """The median seconds of a fit with defaults, of a planted tensor with a tenth of noise, the same on any ranks."""
    shape, random = tuple(map(int, sides)), torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, RANK, generator=random) for rows in shape]
    first, last = share(shape[0], world.rank, world.size)
    rows = []
    for row in range(first, last):
        signal = (factors[1] * factors[0][row]) @ factors[2].T
        rough = torch.randn(shape[1:], generator=torch.Generator().manual_seed(1 + row))
        rows.append(signal + 0.1 * RANK**0.5 * rough)
    slab = Slab(torch.stack(rows), shape, 0, first)
    cp(slab, RANK, world=world)  # What is compiled is compiled here.
    return statistics.median(seconds(lambda: cp(slab, RANK, world=world)) for _ in range(FITS))


KINDS: dict[str, Callable[..., float]] = {"sparse": _sparse, "dense": _dense}


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = World.join()
    print(KINDS[sys.argv[1]](here, *sys.argv[2:]), flush=True)
    here.leave()
