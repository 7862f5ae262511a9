"""Training steps on a GPU: CUDA graphs and bf16 against plain eager, and the share of the measured GEMM rate."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from polyadic.forecasting import cuda_graph
from polyadic.forecasting.cells import CELLS, Cell
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Shape
from polyadic.forecasting.windows import Batch
from scripts.bench.measure import OURS, Case, UnavailableError, seconds

BATCH, CONTEXT, PREDICTION, HIDDEN, STEPS, ROUNDS = 512, 96, 24, 128, 20, 3
CELL_OPTIONS: dict[str, dict[str, int]] = {"lstm": {}, "tt-lstm": {"tt_lags": 2, "tt_order": 2, "tt_rank": 4}}
EAGER = "plain eager"
GEMM_SIDE = 8192


def run() -> Iterator[Case]:
    """Seconds per step of a direct network, forward and backward."""
    if not torch.cuda.is_available():
        raise UnavailableError("there is no GPU")
    for name in CELL_OPTIONS:
        times = {
            OURS: _step_seconds(name, graph=True, bf16=True),
            "with a CUDA graph, float32": _step_seconds(name, graph=True, bf16=False),
            "eager, bf16": _step_seconds(name, graph=False, bf16=True),
            EAGER: _step_seconds(name, graph=False, bf16=False),
        }
        operations = 3 * 2 * BATCH * (CONTEXT + PREDICTION) * 4 * HIDDEN * HIDDEN
        share = f"{operations / times[OURS] / _gemm_rate():.1%} (a recurrence as of an LSTM)"
        yield Case(
            key=name.replace("-", "_"),
            title=f"{name}, {HIDDEN} units, batch {BATCH}, {CONTEXT} + {PREDICTION} steps",
            figures=times,
            targets={EAGER: 1.0},
            unit="seconds per step",
            facts={"share of the GEMM rate": share},
        ).reported()


def _cell(name: str, inputs: int) -> Cell:
    kind = CELLS[name]
    return kind.make(inputs, HIDDEN, kind.options.model_validate(CELL_OPTIONS[name]))


def _step_seconds(name: str, graph: bool, bf16: bool) -> float:
    torch.manual_seed(0)
    shape = Shape(context=CONTEXT, prediction=PREDICTION, cell=lambda inputs: _cell(name, inputs), bf16=bf16)
    network = Direct(shape, LIKELIHOODS["gaussian"]).cuda().train()
    batch = _batch()
    step = cuda_graph.step(network, batch, graph)

    def work() -> None:
        for _ in range(STEPS):
            network.zero_grad(set_to_none=True)
            torch.autograd.backward(step(*vars(batch).values()))
        torch.cuda.synchronize()

    work()
    return min(seconds(work) for _ in range(ROUNDS)) / STEPS


def _batch() -> Batch:
    steps, ones = CONTEXT + PREDICTION, torch.ones(BATCH)
    return Batch(
        torch.randn(BATCH, CONTEXT),
        torch.ones(BATCH, CONTEXT),
        torch.randn(BATCH, PREDICTION),
        torch.ones(BATCH, PREDICTION),
        torch.zeros(BATCH, steps, 0),
        torch.zeros(BATCH, steps, 0),
        torch.zeros(BATCH, 0, dtype=torch.int64),
        ones,
        ones,
    ).to(torch.device("cuda"))


def _gemm_rate() -> float:
    """Floating-point operations per second of one large product in bfloat16."""
    matrix = torch.randn(GEMM_SIDE, GEMM_SIDE, device="cuda", dtype=torch.bfloat16)

    def work() -> None:
        torch.mm(matrix, matrix)
        torch.cuda.synchronize()

    work()
    return 2 * GEMM_SIDE**3 / min(seconds(work) for _ in range(ROUNDS))
