"""What every form of a weight promises: each block is linear in the scores, and its penalty is the norm of W."""

from __future__ import annotations

import pytest
import torch

from polyadic.errors import UserError
from polyadic.regression.weights import WEIGHTS
from tests.regression.cases import SHAPES, drawn_weight

each = pytest.mark.parametrize("name", list(WEIGHTS))
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
outputs = pytest.mark.parametrize("outputs", [1, 4])


@each
@shapes
@outputs
def test_scores_and_norm_are_those_of_the_whole_weight(name: str, shape: tuple[int, ...], outputs: int) -> None:
    weight = drawn_weight(name, shape, outputs)
    x, full = torch.randn(9, *shape, dtype=torch.float64), weight.full()
    assert full.shape == (*shape, outputs) == (*weight.shape, weight.outputs)
    assert torch.allclose(weight.scores(x), x.flatten(1) @ full.flatten(0, -2))
    assert weight.norm_squared() == pytest.approx(float(full.square().sum()))


@each
@shapes
@outputs
def test_each_block_makes_the_scores_and_the_norm_while_others_change(
    name: str, shape: tuple[int, ...], outputs: int
) -> None:
    weight, x = drawn_weight(name, shape, outputs), torch.randn(9, *shape, dtype=torch.float64)
    names = []
    for block in weight.blocks(x):
        names.append(block.name)
        full = weight.full()
        scores = block.rows(0, len(x)) @ block.value.reshape(-1)
        assert torch.allclose(scores, x.flatten(1) @ full.flatten(0, -2))
        norm = float((block.value * (block.penalty @ block.value)).sum())
        assert norm == pytest.approx(float(full.square().sum()))
        block.put(block.value + 0.3 * torch.randn_like(block.value))
    assert len(names) == len(set(names)) >= len(shape)


@each
@shapes
@outputs
def test_a_weight_is_made_again_of_its_tensors(name: str, shape: tuple[int, ...], outputs: int) -> None:
    weight = drawn_weight(name, shape, outputs)
    assert torch.equal(WEIGHTS[name].of_tensors(weight.tensors()).full(), weight.full())
    halved = weight.to(torch.device("cpu"), torch.float32)
    halved.scale_(0.5)
    assert torch.allclose(halved.full(), weight.full().float() / 2, atol=1e-6)


@each
def test_the_start_near_a_tensor_of_these_ranks_is_that_tensor(name: str) -> None:
    full = drawn_weight(name, (6, 5, 4), 3).full()
    ranks = WEIGHTS[name].ranks_of(2, (6, 5, 4), 3)
    if name == "tucker":
        ranks = (2, 2, 2, 3)
    near = WEIGHTS[name].near(full, ranks, torch.Generator().manual_seed(0))
    assert torch.allclose(near.full(), full, atol=0.2 * float(full.abs().max()))


@each
def test_a_mode_is_mapped_by_a_matrix(name: str) -> None:
    weight, matrix = drawn_weight(name, (5, 4, 3), 2), torch.randn(9, 4, dtype=torch.float64)
    expected = torch.einsum("abcd,jb->ajcd", weight.full(), matrix)
    weight.map_mode_(1, matrix)
    assert torch.allclose(weight.full(), expected)


@each
@pytest.mark.parametrize("rank", [0, [2, 2, 2, 2, 2], [99, 99]], ids=str)
def test_ranks_that_the_modes_do_not_allow_are_refused(name: str, rank: int | list[int]) -> None:
    with pytest.raises(UserError, match=r"rank.* is .*: "):
        WEIGHTS[name].ranks_of(rank, (4, 3, 2), 1)


def test_a_number_is_cut_to_what_each_mode_allows() -> None:
    assert WEIGHTS["tucker"].ranks_of(3, (4, 3, 2), 1) == (3, 3, 2, 1)
    assert WEIGHTS["tensor-train"].ranks_of(9, (4, 3, 2), 1) == (4, 2, 1)
    assert WEIGHTS["cp"].ranks_of(99, (4, 3, 2), 1) == (6,)


@pytest.mark.parametrize(
    ("name", "shape", "rank", "count"),
    [("cp", (12, 12), 2, 44), ("cp", (8, 8, 8), 2, 44), ("tucker", (8, 8, 8), 2, 44), ("tensor-train", (8, 8), 2, 28)],
)
def test_degrees_of_freedom_are_the_dimension_of_the_tangents(
    name: str, shape: tuple[int, ...], rank: int, count: int
) -> None:
    weight = drawn_weight(name, shape, rank=rank)
    identity = torch.eye(weight.full().numel(), dtype=torch.float64).reshape(-1, *shape)
    directions = torch.cat([block.rows(0, len(identity))[:, 0] for block in weight.blocks(identity)], 1)
    assert weight.degrees_of_freedom == count == int(torch.linalg.matrix_rank(directions, rtol=1e-9))
