"""What every tensor of few numbers is asked: rows in every form that means one, all else refused in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.decomposition import cp, tensor_train, tucker
from polyadic.errors import UserError
from polyadic.tensor.cp_tensor import CPTensor
from tests.helpers.tensors import low_rank

SHAPE = (6, 5, 4)
TENSOR = low_rank(SHAPE, 2, noise=0.1)[0]
MODELS: dict[str, Any] = {
    "cp": cp(TENSOR, 2, max_iterations=10),
    "tucker": tucker(TENSOR, (2, 2, 2)),
    "tensor train": tensor_train(TENSOR, max_rank=2),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


@pytest.mark.parametrize(
    "index",
    [
        [[0, 1, 2], [5, 4, 3]],
        ((0, 1, 2), (-1, -1, -1)),
        np.array([[0, 1, 2], [5, 4, 3]], dtype="uint8"),
        torch.tensor([[0.0, 1, 2], [5, 4, 3]]),
        torch.tensor([[0, 1, 2], [5, -1, 3]], dtype=torch.int32),
    ],
)
def test_an_index_is_taken_in_every_form(model: Any, index: Any) -> None:
    whole = model.full()
    torch.testing.assert_close(model.at(index), torch.stack([whole[0, 1, 2], whole[5, 4, 3]]))
    torch.testing.assert_close(model.at(index[0]), whole[0, 1, 2])


def test_the_whole_is_its_slices(model: Any) -> None:
    assert model.full().shape == SHAPE
    assert float((model.full() - TENSOR).norm() / TENSOR.norm()) == pytest.approx(model.relative_error, rel=1e-6)
    torch.testing.assert_close(model.slice((None, np.int64(-1), 2.0)), model.full()[:, 4, 2])
    assert model.at([]).shape == (0,)
    assert model.at(np.zeros((0, 3), int)).shape == (0,)
    assert model.embed(1, np.zeros((0, 6, 4)))[0].shape[0] == 0


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda model: model.at([[0, 1]]), r"index has the shape \(1, 2\): give 3 rows, one of each mode"),
        (lambda model: model.at(3), r"index has the shape \(\): give 3 rows"),
        (lambda model: model.at([[0, 5, 0]]), "index has row 5 of mode 1: mode 1 has rows 0 to 4, or -5 to -1"),
        (lambda model: model.at([-7, 0, 0]), "index has row -7 of mode 0"),
        (lambda model: model.at([0.5, 0, 0]), "index hold 0.5: they must be whole numbers"),
        (lambda model: model.at("012"), "index"),
        (lambda model: model.slice([0, None]), r"index is \[0, None\]: give 3 values, a row of each mode, or None"),
        (lambda model: model.slice(0), "index is 0: give 3 values"),
        (lambda model: model.slice("abc"), "index is 'abc': give 3 values"),
        (lambda model: model.slice([0, None, 4]), "index has row 4 of mode 2: mode 2 has rows 0 to 3"),
        (lambda model: model.slice([0, None, 0.5]), r"index\[2\] is 0.5: it must be a whole number"),
        (lambda model: model.embed(3, TENSOR), "mode is 3: the tensor has modes 0 to 2"),
        (lambda model: model.embed(0, TENSOR[0]), r"must be of \(B, 5, 4\), for B slabs. Write slabs\[None\]"),
        (lambda model: model.embed(1, TENSOR), r"slabs are of shape \(6, 5, 4\): along mode 1 .* \(B, 6, 4\)"),
        (lambda model: model.embed(0, "slab"), "slabs"),
    ],
)
def test_what_asks_for_nothing_is_refused_in_words(model: Any, question: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        question(model)


def test_a_slice_that_no_machine_holds_is_refused() -> None:
    factors = [torch.ones(2**16, 1)] * 3
    with pytest.raises(UserError, match="the slice has 281,474,976,710,656 entries: .* are made. Fix more modes"):
        CPTensor(torch.ones(1), factors, math.nan).full()


def test_a_model_is_shown_in_a_line_and_is_equal_to_itself(model: Any) -> None:
    assert repr(model) == (
        f"<{type(model).__name__} 6 x 5 x 4, {'rank 2' if hasattr(model, 'weights') else 'ranks 2'}"
        f"{'' if hasattr(model, 'weights') else ' x 2 x 2' if hasattr(model, 'core') else ', 2'}, "
        f"relative error {model.relative_error:.4g}>"
    )
    assert model == model
    assert model != cp(TENSOR, 2, max_iterations=10)
    assert len({model, model}) == 1
