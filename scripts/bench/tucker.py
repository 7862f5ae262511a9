"""ST-HOSVD of 300 x 300 x 300 to 20 x 20 x 20 against TensorLy's Tucker (SVD, 5 iterations): seconds and error."""

from __future__ import annotations

import tensorly
import torch
from tensorly.decomposition import tucker as their_tucker

from polyadic.decomposition.tucker.fit import tucker
from scripts.bench.measure import OURS, Case, in_turn, seconds

SIZE, RANKS = 300, (20, 20, 20)
NOISE, WORSE = 0.1, 1.01


def run() -> None:
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
    more = {"error": f"{ours:.6f}, HOOI's {hooi:.6f}: {'met' if ours <= WORSE * hooi else 'MISSED'}"}
    Case(f"ST-HOSVD {SIZE}^3 to {RANKS[0]}^3", figures, {"TensorLy": 40.0}, "seconds", more).report()
