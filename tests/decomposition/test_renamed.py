"""Keywords with a former name are refused with the present one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from polyadic.decomposition import complete_tensor_train, cp, gcp, sampled_cp
from polyadic.decomposition.renamed import renamed
from polyadic.errors import UserError

TENSOR = torch.ones(2, 3, 4)
CALLS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "cp": (cp, (TENSOR, 1)),
    "sampled_cp": (sampled_cp, (TENSOR, 1)),
    "gcp": (gcp, (TENSOR, 1, "gaussian")),
    "complete_tensor_train": (complete_tensor_train, (torch.zeros(2, 1).long(), torch.ones(1), (2, 3), 1)),
}


@renamed(width="columns")
def count(rows: int, *, columns: int = 1) -> int:
    """The number of cells."""
    return rows * columns


def test_a_present_name_is_passed_on() -> None:
    assert count(3, columns=2) == 6 and count(3) == 3
    assert count.__name__ == "count" and count.__doc__ == "The number of cells."


def test_a_former_name_is_refused() -> None:
    with pytest.raises(UserError, match="the argument width of count is called columns: write columns=4"):
        count(3, width=4)  # type: ignore[call-arg]  # The present signature has no such keyword.


@pytest.mark.parametrize("name", CALLS)
def test_tol_stops_no_fit(name: str) -> None:
    function, arguments = CALLS[name]
    with pytest.raises(UserError, match=rf"the argument tol of {name} is called stop_tol: write stop_tol=0\.001"):
        function(*arguments, tol=1e-3)
