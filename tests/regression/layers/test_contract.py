"""Every layer equals its readable form, learns, and draws its weights so that scores have a deviation of about 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from polyadic.errors import UserError
from polyadic.regression import Fusion, TensorContraction, TensorConvolution, TensorRegression
from polyadic.regression.weights import WEIGHTS

Case = Callable[[], tuple[nn.Module, list[tuple[int, ...]]]]
CASES: dict[str, Case] = {
    "contraction of order 2": lambda: (TensorContraction((4, 5), (2, 5)), [(4, 5)]),
    "contraction of order 3": lambda: (TensorContraction((3, 4, 5), (3, 1, 2)), [(3, 4, 5)]),
    "convolution": lambda: (TensorConvolution(3, 4, 2), [(3, 6, 5)]),
    "convolution of stride 2": lambda: (TensorConvolution(2, 3, 5, size=5, stride=2), [(2, 9, 4)]),
    "convolution of a point": lambda: (TensorConvolution(1, 2, 1, size=1, stride=3), [(1, 1, 7)]),
}


def _regression(shape: tuple[int, ...], outputs: int, weight: str) -> Case:
    return lambda: (TensorRegression(shape, outputs, 2, weight), [shape])


def _fusion(sizes: tuple[int, ...], kind: str) -> Case:
    return lambda: (Fusion(sizes, 3, 2, kind, projection=8), [(size,) for size in sizes])


for _weight in WEIGHTS:
    for _shape in ((5,), (4, 5), (3, 4, 5), (2, 3, 2, 4)):
        for _outputs in (1, 3):
            CASES[f"{_weight} of {_shape}, {_outputs}"] = _regression(_shape, _outputs, _weight)
for _kind in ("lmf", "mutan", "block", "concat"):
    for _sizes in ((5, 4), (3, 4, 5)):
        CASES[f"{_kind} of {_sizes}"] = _fusion(_sizes, _kind)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_layer_equals_its_reference(case: Case) -> None:
    torch.manual_seed(0)
    layer, shapes = case()
    layer = layer.double()
    inputs = [torch.randn(6, *shape, dtype=torch.float64) for shape in shapes]
    out = layer(*inputs)
    assert torch.allclose(out, layer.reference(*inputs))  # type: ignore[operator]
    out.square().sum().backward()
    learned = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    assert learned
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in learned)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_gradients_at_zero_inputs_are_finite(case: Case) -> None:
    """GRIT#1: the gradient of a signed root is infinite at 0."""
    torch.manual_seed(0)
    layer, shapes = case()
    inputs = [torch.zeros(2, *shape, requires_grad=True) for shape in shapes]
    layer(*inputs).sum().backward()
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in inputs)


@pytest.mark.parametrize("weight", list(WEIGHTS))
def test_scores_of_a_new_layer_have_deviation_one(weight: str) -> None:
    """tensorly/torch#12: weights that were never drawn made every loss NaN."""
    torch.manual_seed(0)
    layer = TensorRegression((16, 16, 8), 5, 6, weight)
    with torch.no_grad():
        assert 0.6 < float(layer(torch.randn(500, 16, 16, 8)).std()) < 1.6
        asked = TensorRegression((16, 16, 8), 5, 6, weight, deviation=0.5)
        assert float(asked.weight.full().square().mean().sqrt()) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("modalities", [2, 3, 5])
@pytest.mark.parametrize("kind", ["lmf", "mutan", "block"])
def test_products_of_many_vectors_neither_vanish_nor_explode(kind: str, modalities: int) -> None:
    torch.manual_seed(0)
    layer = Fusion((40,) * modalities, 4, 4, kind)
    with torch.no_grad():
        assert 0.1 < float(layer(*[torch.randn(300, 40) for _ in range(modalities)]).std()) < 3


def test_a_new_convolution_keeps_the_deviation_of_what_a_relu_leaves() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        out = TensorConvolution(32, 64, 64)(torch.randn(20, 32, 24, 24).relu())
    assert 0.7 < float(out.std()) < 1.4


def test_a_layer_learns_a_product() -> None:
    torch.manual_seed(0)
    layer = Fusion((6, 5), 1, 2)
    x, y = torch.randn(800, 6), torch.randn(800, 5)
    label = (x[:, 0] * y[:, 1] - x[:, 2])[:, None]
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        (layer(x, y) - label).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        assert float((layer(x, y) - label).square().mean()) < 0.05 * float(label.square().mean())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TensorContraction((4, 5), (2,)), "one for each mode"),
        (lambda: TensorContraction((4, 5), (2, 6)), "1 to its rows"),
        (lambda: TensorRegression((4, 5), 1, 2, "tt"), "weight"),
        (lambda: TensorRegression((4, 5), 1, 0), "1 or more"),
        (lambda: TensorRegression((4, 5), 1, [2, 2, 2], "tucker"), "list of 2"),
        (lambda: TensorRegression((4, 5), 0, 2), "outputs is 0"),
        (lambda: TensorRegression((4, 0), 1, 2), "1 or more in each"),
        (lambda: TensorRegression((), 1, 2), "one mode or more"),
        (lambda: TensorRegression((4, 5), 1, 2.5), "whole number"),  # type: ignore[arg-type]
        (lambda: TensorRegression((4, 5), 1, 2)(torch.zeros(3, 5, 4)), "this layer takes B x 4 x 5"),
        (lambda: TensorContraction((4, 5), (2, 2))(torch.zeros(3, 4, 5, 6)), "this layer takes B x 4 x 5"),
        (lambda: TensorConvolution(0, 2, 1), "inputs is 0"),
        (lambda: TensorConvolution(1, 2, 1, size=2), "size is 2: give an odd one"),
        (lambda: TensorConvolution(3, 2, 1)(torch.zeros(2, 1, 5, 5)), "this layer takes B x 3 x H x W"),
        (lambda: Fusion((4, 0), 1), "two vectors or more"),
        (lambda: Fusion((4, 5), 0), "outputs is 0"),
        (lambda: Fusion((4,), 1), "two vectors or more"),
        (lambda: Fusion((4, 5), 1, kind="sum"), "fusion"),
        (lambda: Fusion((4, 5), 1, 0), "1 and 4 or more"),
        (lambda: Fusion((4, 5), 1)(torch.zeros(2, 4), torch.zeros(2, 4)), "B x 4, B x 5"),
    ],
)
def test_what_makes_no_layer_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_an_empty_batch_has_no_scores(case: Case) -> None:
    layer, shapes = case()
    assert len(layer(*[torch.zeros(0, *shape) for shape in shapes])) == 0
