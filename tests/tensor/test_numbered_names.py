"""Lists of tensors by their numbered names, and back."""

from __future__ import annotations

import pytest
import torch

from polyadic.tensor.numbered_names import in_order, numbered


def test_a_list_comes_back_in_its_order_from_among_other_names() -> None:
    tensors = [torch.full((1,), float(number)) for number in range(12)]
    named = numbered("factor", tensors)
    assert list(named)[:2] == ["factor_0", "factor_1"] and len(named) == 12
    shuffled = {"weights": torch.ones(1), **dict(sorted(named.items()))}
    assert in_order("factor", shuffled) == tensors
    assert in_order("core", shuffled) == []


def test_a_number_left_out_is_an_error() -> None:
    with pytest.raises(KeyError, match="core_0"):
        in_order("core", {"core_1": torch.ones(1)})
