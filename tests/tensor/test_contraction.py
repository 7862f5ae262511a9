"""Contractions of a sparse tensor against those of its dense form."""

from __future__ import annotations

import pytest
import torch

from polyadic.errors import UserError
from polyadic.tensor import contraction
from polyadic.tensor.contraction import contract
from polyadic.tensor.sparse import SparseTensor
from tests.helpers.tensors import sparse


@pytest.mark.parametrize(
    "spec",
    [
        "ijk,jr,kr->ir",
        "ijk,jr,kr->ri",
        "jr,ijk->ikr",
        "ijk,ir,jr,kr->r",
        "ijk->j",
        "ijk->",
        "ijk,ab,bj->kai",
        "ijk,i->jk",
    ],
)
def test_contractions_of_a_sparse_tensor_are_the_dense_ones(spec: str) -> None:
    tensor, random = sparse((5, 4, 6), 0.5), torch.Generator().manual_seed(0)
    sizes = {"i": 5, "j": 4, "k": 6, "r": 3, "a": 2, "b": 7}
    terms = spec.split("->")[0].split(",")
    shapes = [[sizes[letter] for letter in term] for term in terms]
    operands = [
        tensor if term == "ijk" else torch.randn(shape, generator=random, dtype=torch.float64)
        for term, shape in zip(terms, shapes, strict=True)
    ]
    dense = [part.to_dense() if isinstance(part, SparseTensor) else part for part in operands]
    torch.testing.assert_close(contract(spec, *operands), torch.einsum(spec, *dense))


def test_nonzeros_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor, matrix = sparse((5, 4, 6), 0.5), torch.randn(4, 3, dtype=torch.float64)
    monkeypatch.setattr(contraction, "WORK_NUMBERS", 7)
    expected = torch.einsum("ijk,jr->ir", tensor.to_dense(), matrix)
    torch.testing.assert_close(contract("ijk,jr->ir", tensor, matrix), expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ijk,jr", "'ijk,jr' with 2 operands, 1 of them sparse: write one term per operand and ->"),
        ("ijk,jr,kr->ir", "with 2 operands, 1 of them sparse"),
        ("iik,jr->r", "'iik' does not name the 3 modes of the sparse tensor"),
        ("ij,jr->r", "'ij' does not name the 3 modes"),
        ("ijk,zr->r", "write a letter of its own for each, not z"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        contract(spec, sparse((5, 4, 6), 0.5), torch.ones(4, 3))


def test_two_sparse_operands_are_refused() -> None:
    tensor = sparse((5, 4, 6), 0.5)
    with pytest.raises(UserError, match="with 2 operands, 2 of them sparse"):
        contract("ijk,ijk->", tensor, tensor)
