"""Tensor regression and its layers: a sweep against TensorLy's and the reads of the samples, a layer, two processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from tensorly.regression import CPRegressor, TuckerRegressor
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from polyadic.distributed import World
from polyadic.regression import Fusion, Regression, tensor_regression
from scripts.bench.measure import OURS, Bound, Case, in_turn, of_ranks, seconds, seconds_per_sweep

SHAPE, SAMPLES, RANK, TUCKER_RANKS = (64, 64, 3), 2000, 5, [5, 5, 3]
ROUNDS, CALLS = 5, 20
MODALITIES, SIZE, FUSED_RANK, FUSED_OUTPUTS, BATCH = 3, 512, 16, 1, 256
READS_PER_SWEEP = 2


def run() -> Iterator[Case]:
    """Sweeps, whole fits to one deviance, a layer, two processes and memory."""
    yield from _sweeps()
    yield _logistic().reported()
    yield _fusion().reported()
    yield _two_ranks().reported()
    yield _memory().reported()


def drawn(samples: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """Normal samples, float32, and labels of a CP weight with noise."""
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, RANK, generator=generator) for rows in SHAPE]
    weight = torch.einsum("ar,br,cr->abc", *factors)
    x = torch.randn(samples, *SHAPE, generator=generator)
    signal = x.flatten(1) @ (weight / weight.norm()).flatten()
    return x, signal + 0.5 * torch.randn(samples, generator=generator)


def _sweeps() -> Iterator[Case]:
    """Seconds of one sweep of ALS."""
    x, label = drawn()
    for form, rank, theirs in (("cp", RANK, CPRegressor), ("tucker", TUCKER_RANKS, TuckerRegressor)):
        named: dict[str, Any] = {"weight_rank" if form == "cp" else "weight_ranks": rank}
        floor, peer = f"{READS_PER_SWEEP} reads of the samples", f"TensorLy {theirs.__name__}"
        ours = partial(_fit, x, label, form, rank)
        figures = in_turn(
            {
                OURS: seconds_per_sweep(ours),
                peer: seconds_per_sweep(partial(_tensorly, theirs, x, label, named), 1, 1),
                floor: lambda: READS_PER_SWEEP * seconds(x.sum),
            },
            ROUNDS,
        )
        yield Case(
            key=form,
            title=f"{form} regression, n = {SAMPLES:,}, {' x '.join(map(str, SHAPE))}, rank {rank}, a sweep",
            figures=figures,
            targets={peer: 20.0},
            roles={floor: "floor"},
            bounds=[Bound("sweep over the reads", figures[OURS] / figures[floor], 2.0)],
        ).reported()


def _fit(x: Tensor, label: Tensor, form: str, rank: Any, sweeps: int) -> None:
    tensor_regression(x, label, rank, weight=form, restarts=1, init=_begun(form, rank), max_sweeps=sweeps, stop_tol=-1)


def _begun(form: str, rank: Any) -> Any:
    from polyadic.regression.weights import WEIGHTS

    kind = WEIGHTS[form]
    return kind.random(SHAPE, kind.ranks_of(rank, SHAPE, 1), 1, torch.Generator().manual_seed(0))


def _tensorly(kind: Any, x: Tensor, label: Tensor, ranks: dict[str, Any], sweeps: int) -> None:
    kind(**ranks, n_iter_max=sweeps, tol=0, verbose=0, random_state=0).fit(x.numpy(), label.numpy())


def _logistic() -> Case:
    """Seconds to scikit-learn's deviance of samples that were not seen, and what whole fits say of them."""
    x, label = drawn(7000)
    held, truth = x[5000:].clone(), (label[5000:] > 0).float()
    x, classes = x[:5000].clone(), (label[:5000] > 0).float()
    theirs, model = "scikit-learn, vec(X)", LogisticRegression(max_iter=1000)
    flat = x.flatten(1).numpy()

    def ours(sweeps: int) -> Regression:
        return tensor_regression(x, classes, RANK, loss="logistic", wd=1e-4, restarts=1, max_sweeps=sweeps)

    def deviance(score: Any) -> float:
        return float(2 * binary_cross_entropy_with_logits(torch.as_tensor(score).reshape(-1).float(), truth))

    def right(score: Any) -> float:
        return float(((torch.as_tensor(score).reshape(-1) > 0) == (truth > 0)).float().mean())

    reached = model.fit(flat, classes.numpy()).decision_function(held.flatten(1).numpy())
    sweeps = next(sweeps for sweeps in range(1, 200) if deviance(ours(sweeps).scores(held)) <= deviance(reached))
    figures = in_turn(
        {
            OURS: lambda: seconds(lambda: ours(sweeps)),
            theirs: lambda: seconds(lambda: model.fit(flat, classes.numpy())),
        },
        ROUNDS,
    )
    begun, whole = ours(sweeps).scores(held), dict[str, Regression]()
    whole_seconds = seconds(lambda: whole.update(fit=tensor_regression(x, classes, RANK, loss="logistic", wd=1e-4)))
    ended = whole["fit"].scores(held)
    return Case(
        key="logistic",
        title=f"logistic regression, n = 5,000, vec {flat.shape[1]:,}, to scikit-learn's deviance of 2,000 others",
        figures=figures,
        targets={theirs: 5.0},
        unit="seconds",
        bounds=[Bound("deviance over scikit-learn's", deviance(begun) / deviance(reached), 1.0)],
        facts={
            "sweeps": f"{sweeps}",
            "right": f"{right(begun):.3f}, scikit-learn {right(reached):.3f}",
            "a whole fit": f"{whole_seconds:.1f} s, {deviance(ended) / deviance(reached):.2f} of the deviance, "
            f"{right(ended):.3f} right",
        },
    )


def _fusion() -> Case:
    """Seconds of a fusion, forward and backward, as it is, with the product of the vectors formed, and of its GEMMs."""
    torch.manual_seed(0)
    layer = Fusion((SIZE,) * MODALITIES, FUSED_OUTPUTS, FUSED_RANK)
    vectors = [torch.randn(BATCH, SIZE, requires_grad=True) for _ in range(MODALITIES)]
    two = Fusion((SIZE,) * 2, FUSED_OUTPUTS, FUSED_RANK)
    width = FUSED_RANK * FUSED_OUTPUTS
    weights = [torch.randn(SIZE, width) for _ in vectors]
    slopes = [torch.randn(BATCH, width) for _ in vectors]

    def forward_and_backward(of: Fusion, call: Callable[..., Tensor], given: Sequence[Tensor]) -> None:
        learned = [*given, *of.parameters()]
        for _ in range(CALLS):
            torch.autograd.grad(call(*given).sum(), learned)

    def products() -> None:
        for x, weight, slope in zip(vectors, weights, slopes, strict=True):
            with torch.no_grad():
                torch.mm(x, weight), torch.mm(slope, weight.T), torch.mm(x.T, slope)

    def gemms() -> float:
        began = time.perf_counter()
        for _ in range(CALLS):
            products()
        return (time.perf_counter() - began) / CALLS

    formed = "the product of 2 of the 3 vectors formed"
    figures = in_turn(
        {
            OURS: lambda: seconds(partial(forward_and_backward, layer, layer, vectors)) / CALLS,
            "its GEMMs": gemms,
            formed: lambda: seconds(partial(forward_and_backward, two, two.reference, vectors[:2])) / CALLS,
        },
        ROUNDS,
    )
    return Case(
        key="fusion",
        title=f"fusion of {MODALITIES} vectors of {SIZE}, rank {FUSED_RANK}, batch {BATCH}, forward and backward",
        figures=figures,
        targets={formed: 50.0},
        roles={"its GEMMs": "floor", formed: "polyadic"},
        unit="seconds",
        bounds=[Bound("over its GEMMs", figures[OURS] / figures["its GEMMs"], 1.5)],
        facts={"the product of all 3": f"would have {BATCH * (SIZE + 1) ** 3 * 4 / 1e9:,.0f} GB, and cannot be formed"},
    )


def _two_ranks() -> Case:
    """Seconds of a sweep on one process of one thread, and on two."""
    one, two = (of_ranks(size, __name__, "ranks") for size in (1, 2))
    return Case(
        key="ranks",
        title=f"cp regression, n = {4 * SAMPLES:,}, a sweep on two processes of one thread",
        figures={OURS: two, "one process": one},
        targets={"one process": 1.8},
        roles={"one process": "polyadic"},
    )


def _ranks() -> None:
    world = World.join()
    x, label = drawn(4 * SAMPLES)
    own = slice(len(x) * world.rank // world.size, len(x) * (world.rank + 1) // world.size)
    mine, labels = x[own].clone(), label[own].clone()
    del x

    def fit(sweeps: int) -> None:
        begun = _begun("cp", RANK)
        tensor_regression(mine, labels, RANK, init=begun, max_sweeps=sweeps, stop_tol=-1, world=world)

    fit(2)
    print(min((seconds(lambda: fit(12)) - seconds(lambda: fit(2))) / 10 for _ in range(3)))
    world.leave()


def _memory() -> Case:
    """The peak of a fit beyond the interpreter and the libraries, and the samples themselves."""
    process = subprocess.run([sys.executable, "-m", __name__, "memory"], check=True, capture_output=True, text=True)
    peak, data = map(float, process.stdout.split()[-2:])
    return Case(
        key="memory",
        title="peak memory of a cp regression",
        figures={OURS: peak, "samples": data},
        roles={"samples": "floor"},
        unit="MB",
        bounds=[Bound("peak relative to the samples", peak / data, 1.3)],
    )


def _peak() -> None:
    from scripts.bench.memory import memory_bytes

    small, labels = drawn(50)
    tensor_regression(small, labels, RANK, max_sweeps=2)
    before = memory_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    x, label = drawn(4 * SAMPLES)
    tensor_regression(x, label, RANK, max_sweeps=5)
    print((memory_bytes("VmHWM") - before) / 1e6, x.numel() * 4 / 1e6)


if __name__ == "__main__":
    _ranks() if sys.argv[1] == "ranks" else _peak()
