"""Training steps on a GPU: CUDA graphs and bf16 against plain eager, and the share of the measured GEMM rate."""

from __future__ import annotations

import torch

from polyadic.forecasting import cuda_graph
from polyadic.forecasting.cells import LSTM, Cell, TensorTrainLSTM, TrainShape
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Shape
from polyadic.forecasting.windows import Batch
from scripts.bench.measure import OURS, Case, seconds

BATCH, CONTEXT, PREDICTION, HIDDEN, STEPS = 512, 96, 24, 128, 20
CELLS = {"lstm": lambda inputs: LSTM(inputs, HIDDEN), "tt-lstm": lambda inputs: _tensor_train(inputs)}


def run() -> None:
    """Seconds a step of a direct network, forward and backward."""
    if not torch.cuda.is_available():
        print("skipped: there is no GPU")
        return
    for name in CELLS:
        times = {
            OURS: _step(name, graph=True, bf16=True),
            "with a CUDA graph, float32": _step(name, graph=True, bf16=False),
            "eager, bf16": _step(name, graph=False, bf16=True),
            "plain eager": _step(name, graph=False, bf16=False),
        }
        flops = 3 * 2 * BATCH * (CONTEXT + PREDICTION) * 4 * HIDDEN * HIDDEN
        more = {"share of the GEMM rate": f"{flops / times[OURS] / _gemm_rate():.1%} (a recurrence as of an LSTM)"}
        title = f"{name}, H {HIDDEN}, batch {BATCH}, {CONTEXT} + {PREDICTION} steps"
        Case(title, times, {"plain eager": 1.0}, "seconds a step", more).report()


def _tensor_train(inputs: int) -> Cell:
    return TensorTrainLSTM(inputs, HIDDEN, TrainShape(2, 2, 4))


def _step(cell: str, graph: bool, bf16: bool) -> float:
    torch.manual_seed(0)
    network = Direct(Shape(CONTEXT, PREDICTION, CELLS[cell], bf16=bf16), LIKELIHOODS["gaussian"]).cuda().train()
    steps, ones = CONTEXT + PREDICTION, torch.ones(BATCH)
    batch = Batch(
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
    step = cuda_graph.step(network, batch, graph)

    def work() -> None:
        for _ in range(STEPS):
            network.zero_grad(set_to_none=True)
            torch.autograd.backward(step(*vars(batch).values()))
        torch.cuda.synchronize()

    work()
    return min(seconds(work) for _ in range(3)) / STEPS


def _gemm_rate() -> float:
    """Floating-point operations a second of one large product in bfloat16."""
    one = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)

    def work() -> None:
        torch.mm(one, one)
        torch.cuda.synchronize()

    work()
    return 2 * 8192**3 / min(seconds(work) for _ in range(3))
