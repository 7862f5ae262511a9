"""rank=auto as a job meets it: what is printed of each rank, and why one is taken."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.algorithms.cp.test_fit import fit


def test_rank_auto_prints_the_consistency_of_each_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(5)
    exact = np.einsum("ir,jr,kr->ijk", *(random.normal(size=(rows, 2)) for rows in (8, 7, 6)))
    noisy = exact + 0.01 * random.normal(size=exact.shape)
    model = fit(tmp_path, noisy, rank="auto", max_rank="4", max_iterations="200", init="svd")
    printed = re.findall(r"rank=(\d), train core_consistency <percent>=(\S+)", capsys.readouterr().out)
    assert [int(rank) for rank, _ in printed] == [1, 2, 3, 4]
    assert model.tensor.rank == 2 and float(printed[1][1]) > 95 and float(printed[2][1]) < 80


@pytest.mark.parametrize("form", ["dense", "gaps"])
def test_rank_auto_asks_halves_of_what_it_searches(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(5)
    exact = np.einsum("ir,jr,kr->ijk", *(random.normal(size=(rows, 2)) for rows in (12, 9, 8)))
    noisy = exact + 0.01 * random.normal(size=exact.shape)
    noisy[3, 4, 5] = np.nan if form == "gaps" else noisy[3, 4, 5]
    model = fit(
        tmp_path, noisy, rank="auto", max_rank="4", method="auto", missing="mask" if form == "gaps" else "error"
    )
    printed = capsys.readouterr()
    halves = re.findall(r"rank=(\d), train split_half <congruence>=(\S+)", printed.out)
    # Of ranks whose core is not consistent no halves are asked.
    assert [int(rank) for rank, _ in halves] == [1, 2] and float(halves[1][1]) > 0.99
    assert model.tensor.rank == 2 and model.relative_error < 0.01
    assert "rank 2 is the highest with a consistent core that halves of the data agree on, of 1 to 4" in printed.err


def test_rank_auto_says_that_no_rank_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(5).normal(size=(12, 9, 8))
    model = fit(tmp_path, noise, rank="auto", max_rank="3", method="auto")
    said = capsys.readouterr().err
    assert model.tensor.rank == 1
    assert (
        "no rank of 1 to 3 has a consistent core that halves of the data agree on: rank 1 is taken, the lowest" in said
    )
