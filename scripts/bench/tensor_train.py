"""TT-SVD of 300 x 300 x 300 with ranks 20 against torchTT and TensorLy: seconds and error."""

from __future__ import annotations

from collections.abc import Iterator

import tensorly
import torch
import torchtt
from tensorly.decomposition import tensor_train as their_train

from polyadic.decomposition.train.svd import tensor_train
from scripts.bench.measure import OURS, Case, in_turn, seconds

SIZE, RANK, NOISE, LEAST_SPEED_UP = 300, 20, 0.1, 10.0


def run() -> Iterator[Case]:
    """A train of these ranks with noise of a tenth of its deviation."""
    random = torch.Generator().manual_seed(0)
    shapes = ((SIZE, RANK), (RANK, SIZE, RANK), (RANK, SIZE))
    tensor = torch.einsum("ia,ajb,bk->ijk", *(torch.randn(shape, generator=random) for shape in shapes))
    tensor = (tensor + NOISE * tensor.std() * torch.randn(tensor.shape, generator=random)).contiguous()

    def theirs() -> object:
        with tensorly.backend_context("pytorch", local_threadsafe=True):
            return their_train(tensor, [1, RANK, RANK, 1])

    figures = in_turn(
        {
            OURS: lambda: seconds(lambda: tensor_train(tensor, max_rank=RANK)),
            "torchTT": lambda: seconds(lambda: torchtt.TT(tensor, eps=0.0, rmax=RANK)),
            "TensorLy": lambda: seconds(theirs),
        },
        rounds=2,
    )
    rest = tensor - torchtt.TT(tensor, eps=0.0, rmax=RANK).full()
    errors = f"{tensor_train(tensor, max_rank=RANK).relative_error:.6f}, torchTT's {rest.norm() / tensor.norm():.6f}"
    yield Case(
        key="cube",
        title=f"TT-SVD, {SIZE} x {SIZE} x {SIZE}, ranks {RANK}",
        figures=figures,
        targets={"torchTT": LEAST_SPEED_UP, "TensorLy": LEAST_SPEED_UP},
        unit="seconds",
        facts={"error": errors},
    ).reported()
