"""The kernels of a GPU against the plain form: in Triton's interpreter everywhere, and on a GPU where there is one.

Triton takes its interpreter for good when it is imported, so that runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
import torch
from torch import Tensor

from polyadic.decomposition.cp.fit import cp
from polyadic.distributed import World
from polyadic.tensor import tree_products
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.kernels import chunks
from polyadic.tensor.sparse import SparseTensor, mttkrp
from polyadic.tensor.stack import Stack
from polyadic.tensor.tree import Tree

pytest.importorskip("triton", reason="Triton is not installed")

Run: TypeAlias = Callable[..., Any]
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(scope="module", params=["interpreter", pytest.param("gpu", marks=no_gpu)])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Calls a function with a device whose stacks the kernels take, and further arguments."""
    if request.param == "gpu":
        yield lambda function, *arguments: function("cuda", *arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        pool.submit(_interpret).result()
        patch.undo()
        yield lambda function, *arguments: pickle.loads(pool.submit(_bytes, function, *arguments).result())


def _interpret() -> None:
    torch.set_num_threads(1)
    tree_products.on_gpu = lambda stack: True


def _bytes(function: Run, *arguments: Any) -> bytes:
    """Bytes, not the object: torch would hand its tensors over in shared memory."""
    return pickle.dumps(function("cpu", *arguments))


class Case(NamedTuple):
    """A tensor whose nonzeros crowd in some rows and some fibres, and factors."""

    shape: Sequence[int]
    nonzeros: int
    rank: int
    dtype: torch.dtype

    def build(self) -> tuple[SparseTensor, list[Tensor]]:
        random = torch.Generator().manual_seed(0)
        indices = torch.stack([torch.randint(0, rows, (self.nonzeros,), generator=random) for rows in self.shape])
        indices[0, : self.nonzeros // 2] = 1
        indices[:2, : self.nonzeros // 3] = 1
        values = torch.randn(self.nonzeros, generator=random, dtype=torch.float64).to(self.dtype)
        factors = [torch.randn(rows, self.rank, generator=random, dtype=torch.float64) for rows in self.shape]
        tensor = SparseTensor(indices.to(torch.int32), values, tuple(self.shape))
        return tensor, [factor.to(self.dtype) for factor in factors]


class Answer(NamedTuple):
    """Of one mode: the product, the entries in the tree's order and their indices, the lines of rows that are cut."""

    product: Tensor
    entries: Tensor
    indices: Tensor
    extra_lines: int


def products(device: str, case: Case, nonzeros_per_fibre: float, length: int = 8) -> list[Answer]:
    """What the kernels make of each mode, in chunks of `length` nonzeros."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SHORTEST_NONZEROS", length)
        tensor, factors = case.build()
        tensor, stack = tensor.to(torch.device(device)), Stack(case.shape).of([factor.to(device) for factor in factors])
        answers = []
        for mode in range(len(case.shape)):
            tree = Tree.of(tensor, mode, nonzeros_per_fibre=nonzeros_per_fibre)
            assert not case.nonzeros or (tree.fibre_starts is None) == (nonzeros_per_fibre > 1 or len(case.shape) == 2)
            # A tree of the nonzeros' own numbers tells which is which.
            numbered = SparseTensor(tensor.indices, torch.arange(case.nonzeros, device=device), tensor.shape)
            indices = tensor.indices[:, Tree.of(numbered, mode).values.long()]
            product, entries = tree_products.mttkrp(tree, stack, case.rank), tree_products.entries(tree, stack)
            answers.append(Answer(product.cpu(), entries.cpu(), indices.cpu(), tree.chunks.extra_lines))
    return answers


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal to the precision of `actual`, by the largest entry: sums of mixed signs cancel."""
    assert actual.shape == expected.shape
    size = max([1.0, *expected.abs().flatten().tolist()])
    assert bool(((actual.double() - expected).abs() <= 50 * torch.finfo(actual.dtype).eps * size).all())


def check(answers: list[Answer], case: Case) -> None:
    """Products and entries against the plain form in float64."""
    tensor, factors = case.build()
    exact = [factor.double() for factor in factors]
    for mode, answer in enumerate(answers):
        assert answer.product.dtype == answer.entries.dtype == case.dtype
        assert_near(answer.product, mttkrp(tensor.to(torch.float64), exact, mode))
        terms = [factor[rows.long()] for factor, rows in zip(exact, answer.indices, strict=True)]
        assert_near(answer.entries, torch.stack(terms).prod(0).sum(1))


@pytest.mark.slow
@pytest.mark.parametrize("least", [0.0, 1e9], ids=["compressed", "every nonzero by itself"])
@pytest.mark.parametrize(
    ("order", "dtype"),
    [(2, torch.float32), (3, torch.float32), (3, torch.float64), (4, torch.float64), (5, torch.float32)],
)
def test_products_and_entries_are_those_of_the_plain_form(
    run: Run, order: int, dtype: torch.dtype, least: float
) -> None:
    case = Case([3, 4, 7, 2, 2][:order], 40, 3, dtype)
    answers = run(products, case, least)
    check(answers, case)
    assert answers[0].extra_lines >= 2, "half of the nonzeros lie in one row"


@pytest.mark.slow
@pytest.mark.parametrize("order", [6, 7, 8])
def test_tensors_of_many_modes_are_taken(run: Run, order: int) -> None:
    for least in (0.0, 1e9):
        case = Case([3, 2, 2, 2, 2, 2, 2, 2][:order], 10, 2, torch.float64)
        check(run(products, case, least, 3), case)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 8, 16, 20, 33, 70, 200])
def test_any_rank_is_taken_by_blocks_of_columns(run: Run, rank: int) -> None:
    for least in (0.0, 1e9):
        case = Case([2, 3, 4], 12, rank, torch.float32)
        check(run(products, case, least), case)


@pytest.mark.slow
def test_thousands_of_columns_are_taken(run: Run) -> None:
    case = Case([2, 2, 2], 3, 2_000, torch.float64)
    check(run(products, case, 1e9), case)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 3, 64])
def test_rows_and_fibres_may_be_cut_anywhere(run: Run, length: int) -> None:
    for least in (0.0, 1e9):
        case = Case([3, 2, 9], 40, 2, torch.float64)
        check(run(products, case, least, length), case)


@pytest.mark.slow
def test_rows_without_nonzeros_are_zero(run: Run) -> None:
    for count in (0, 1):
        case = Case([6, 5, 4], count, 3, torch.float32)
        answers = run(products, case, 1e9)
        check(answers, case)
        assert int((answers[0].product != 0).any(1).sum()) == count


@pytest.mark.slow
def test_the_result_is_the_same_every_time(run: Run) -> None:
    case = Case([3, 30, 40], 30, 4, torch.float32)
    for least in (0.0, 1e9):
        for first, second in zip(run(products, case, least), run(products, case, least), strict=True):
            assert torch.equal(first.product, second.product) and torch.equal(first.entries, second.entries)


def decomposed(device: str, options: dict[str, Any]) -> CPTensor:
    """A sparse CP on a device, its factors on the CPU."""
    tensor, _ = Case([5, 4, 6], 40, 1, torch.float64).build()
    model = cp(tensor.to(torch.device(device)), 2, world=World.alone(device), max_iterations=3, stop_tol=0, **options)
    return CPTensor(model.weights.cpu(), [factor.cpu() for factor in model.factors], model.relative_error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"observed": True, "l2": 0.1}, {"nonnegative": True}, {"init": "svd"}], ids=str
)
def test_a_sparse_cp_is_the_one_of_the_cpu(run: Run, options: dict[str, Any]) -> None:
    model, expected = run(decomposed, options), decomposed("cpu", options)
    assert model.relative_error == pytest.approx(expected.relative_error, rel=1e-10)
    assert torch.allclose(model.weights, expected.weights, rtol=1e-8)
    for factor, expected_factor in zip(model.factors, expected.factors, strict=True):
        # The sign of an eigenvector is its solver's choice.
        sign = (factor * expected_factor).sum(0).sign()
        assert torch.allclose(factor * sign, expected_factor, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("generation", "order", "real"), [(80, 3, "fp32"), (90, 8, "fp64")])
def test_the_kernels_compile_without_a_gpu(
    generation: int, order: int, real: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code: what Triton's interpreter takes, its compiler might not."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from polyadic.tensor.kernels import cuda as cuda_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kinds = dict.fromkeys(("edges", "targets", "fibres", "cut_rows", "lines"), "*i64")
    kinds |= dict.fromkeys(("others", "inner", "leaves", "rows", "fibre_starts"), "*i32")
    kinds |= dict.fromkeys(("values", "stack", "out"), f"*{real}") | {"own_start": "i32"}
    sizes = {"WIDTH": 16, "BLOCK": 16, "ORDER": order, "NONZEROS": 16, "LINES": 16}
    for function in ("_sparse_rows", "_sparse_fibres", "_add_up", "_sparse_entries", "_fibre_entries"):
        kernel = getattr(cuda_kernels, function)
        signature = {name: kinds.get(name, "constexpr") for name in kernel.arg_names}
        constants = {name: sizes[name] for name in kernel.arg_names if name in sizes}
        source = ASTSource(kernel, signature, constants)
        made = triton.compile(source, target=GPUTarget("cuda", generation, 32), options=cuda_kernels.LAUNCH_OPTIONS)
        assert made.asm["cubin"]
