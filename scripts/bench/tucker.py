"""ST-HOSVD of 300 x 300 x 300 to 20 x 20 x 20 against TensorLy's Tucker (SVD, 5 iterations): seconds and error."""

from __future__ import annotations

from collections.abc import Iterator

import tensorly
import torch
from tensorly.decomposition import tucker as their_tucker

from polyadic.decomposition.tucker.fit import tucker
from scripts.bench.measure import OURS, Bound, Case, in_turn, seconds

SIZE, RANKS = 300, (20, 20, 20)
NOISE, MOST_ERROR, LEAST_SPEED_UP = 0.1, 1.01, 40.0


def run() -> Iterator[Case]:
    """A tensor of these ranks with noise of a tenth of its deviation."""
    random = torch.Generator().manual_seed(0)
    core = torch.randn(RANKS, generator=random)
    bases = [torch.linalg.qr(torch.randn(SIZE, rank, generator=random))[0] for rank in RANKS]
    tensor = torch.einsum("abc,ia,jb,kc->ijk", core, *bases)
    tensor = (tensor + NOISE * tensor.std() * torch.randn(tensor.shape, generator=random)).contiguous()

    def theirs() -> object:
        with tensorly.backend_context("pytorch", local_threadsafe=True):
            return their_tucker(tensor, RANKS, init="svd", n_iter_max=5, tol=1e-15)

    figures = in_turn({OURS: lambda: seconds(lambda: tucker(tensor, RANKS)), "TensorLy": lambda: seconds(theirs)}, 3)
    ours, hooi = tucker(tensor, RANKS).relative_error, tucker(tensor, RANKS, method="hooi").relative_error
    yield Case(
        key="cube",
        title=f"ST-HOSVD, {SIZE} x {SIZE} x {SIZE} to {RANKS[0]} x {RANKS[1]} x {RANKS[2]}",
        figures=figures,
        targets={"TensorLy": LEAST_SPEED_UP},
        unit="seconds",
        bounds=[Bound("error relative to HOOI's", ours / hooi, MOST_ERROR)],
        facts={"error": f"{ours:.6f}, HOOI's {hooi:.6f}"},
    ).reported()
