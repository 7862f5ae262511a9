"""The kernels of a GPU, in Triton: products over the nonzeros of a tree, the same every time they run.

A program takes one chunk of the nonzeros (chunks.py), which lies within a row, and `BLOCK` columns of the factors. It
reads `NONZEROS` of them at once, as a tile whose sums stay in registers. Factors stand in one array, `stack`, of
`WIDTH` columns; indices are rows of it. Names in capitals are compile-time constants.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from polyadic.tensor.fibres import Tree

LAUNCH = {"num_warps": 1, "enable_fp_fusion": True}
"""A warp a program; a product and a sum are rounded together, as the kernels of the CPU do."""
TILE = {torch.float32: 512, torch.float64: 256}
"""Numbers of a tile: enough that a warp waits for many at once, few enough for its registers."""
SMALLEST = 4
"""A tile has a part of that at least, however few nonzeros there are to fill it."""
BLOCKS = (128, 64, 32, 16, 8, 4)
"""Columns of a tile, powers of two."""
IDLE = 1.25
"""Columns that tiles may have for each one that there is, before narrower ones are taken."""


def mttkrp(tree: Tree, stack: Tensor) -> Tensor:
    """X_(n) (⊙_{m≠n} A^(m)) for the tree's mode: I_n x (the columns of the stack)."""
    chunks, rows, width = tree.chunks, len(tree.first) - 1, stack.shape[1]
    out = stack.new_zeros(rows + chunks.extra, width)
    block, nonzeros = _tile(stack, chunks.run)
    blocks = math.ceil(width / block)
    sizes = {"WIDTH": width, "BLOCK": block, **LAUNCH}
    kernel = _sparse_rows if tree.ends is None else _sparse_fibres
    with torch.cuda.device_of(stack):
        if len(chunks.rows):
            facts = (chunks.edges, chunks.targets, *_places(tree), tree.values)
            kernel[len(chunks.rows), blocks](*facts, stack, out, ORDER=tree.order, NONZEROS=nonzeros, **sizes)
        if chunks.extra:
            lines = TILE[stack.dtype] // block
            _add_up[len(chunks.cut), blocks](chunks.cut, chunks.lines, out, LINES=lines, **sizes)
    return out[:rows]


def entries(tree: Tree, stack: Tensor) -> Tensor:
    """The model's entries at the nonzeros, in the tree's order: M. The sum over r of the product of the rows."""
    chunks, out = tree.chunks, stack.new_empty(len(tree.values))
    block, nonzeros = _tile(stack, chunks.run)
    sizes = {"WIDTH": stack.shape[1], "BLOCK": block, "ORDER": tree.order, "NONZEROS": nonzeros, **LAUNCH}
    kernel = _sparse_entries if tree.ends is None else _fibre_entries
    with torch.cuda.device_of(stack):
        if len(chunks.rows):
            kernel[(len(chunks.rows),)](chunks.edges, chunks.rows, *_places(tree), stack, out, tree.own, **sizes)
    return out


def _places(tree: Tree) -> tuple[Tensor, ...]:
    """The indices of the other modes as the kernels take them."""
    if tree.ends is None or tree.chunks.fibres is None:
        return (tree.others,)
    return (tree.chunks.fibres, tree.ends, tree.others, tree.leaves)


def _tile(stack: Tensor, run: float) -> tuple[int, int]:
    """Columns and nonzeros that a program takes at once, where runs have so many nonzeros on average."""
    width, tile = stack.shape[1], TILE[stack.dtype]
    block = next((block for block in BLOCKS if math.ceil(width / block) * block <= IDLE * width), BLOCKS[-1])
    filled = block * triton.next_power_of_2(math.ceil(run))
    return block, max(1, min(tile, max(tile // SMALLEST, filled)) // block)


@triton.jit
def _gather(stack, row, column, here, WIDTH: tl.constexpr):
    """stack[row, column] (K x C) for K rows, zeros where not `here` (K)."""
    inside = here[:, None] & (column < WIDTH)[None, :]
    return tl.load(stack + row.to(tl.int64)[:, None] * WIDTH + column[None, :], inside, 0.0)


@triton.jit
def _product(start, rows, stack, column, COUNT: tl.constexpr, WIDTH: tl.constexpr):
    """start (C) * stack[rows[0], column] * ... * stack[rows[COUNT - 1], column]; rows is a pointer."""
    for m in tl.static_range(COUNT):
        row = tl.load(rows + m).to(tl.int64)
        start *= tl.load(stack + row * WIDTH + column, column < WIDTH, 0.0)
    return start


@triton.jit
def _sparse_rows(
    edges,
    targets,
    others,
    values,
    stack,
    out,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """MTTKRP, every nonzero by itself: out[target] = sum over the chunk of value · (row of each other mode).

    edges (P + 1), targets (P), others (M x ORDER - 1), values (M), stack (S x WIDTH), out (I and lines x WIDTH).
    """
    chunk = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
    end = tl.load(edges + chunk + 1)
    for begin in range(tl.load(edges + chunk), end, NONZEROS):
        k = begin + tl.arange(0, NONZEROS)
        here = k < end
        term = tl.load(values + k, here, 0.0)[:, None]
        for m in tl.static_range(ORDER - 1):
            row = tl.load(others + k * (ORDER - 1) + m, here, 0)
            term = term * _gather(stack, row, column, here, WIDTH)
        sum_ += term
    target = tl.load(targets + chunk)
    tl.store(out + target * WIDTH + column, tl.sum(sum_, 0), column < WIDTH)


@triton.jit
def _sparse_fibres(
    edges,
    targets,
    fibres,
    ends,
    inner,
    leaves,
    values,
    stack,
    out,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """MTTKRP over compressed fibres: a fibre's nonzeros differ in their last index alone.

    out[target] = sum over the fibres of the chunk of (rows of the inner modes) * sum over those of the fibre's
    nonzeros that lie in the chunk of value · (its last row).
    fibres (P), ends (F + 1), inner (F x ORDER - 2), leaves (M); the rest as in _sparse_rows.
    """
    chunk = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
    at, end = tl.load(edges + chunk), tl.load(edges + chunk + 1)
    fibre = tl.load(fibres + chunk)
    while at < end:
        stop = tl.minimum(tl.load(ends + fibre + 1).to(tl.int64), end)
        ones = tl.full([BLOCK], 1.0, stack.dtype.element_ty)
        shared = _product(ones, inner + fibre * (ORDER - 2), stack, column, ORDER - 2, WIDTH)
        for begin in range(at, stop, NONZEROS):
            k = begin + tl.arange(0, NONZEROS)
            here = k < stop
            leaf = _gather(stack, tl.load(leaves + k, here, 0), column, here, WIDTH)
            sum_ += tl.load(values + k, here, 0.0)[:, None] * leaf * shared[None, :]
        at = stop
        fibre += 1
    target = tl.load(targets + chunk)
    tl.store(out + target * WIDTH + column, tl.sum(sum_, 0), column < WIDTH)


@triton.jit
def _add_up(cut, lines, out, WIDTH: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr):
    """out[cut[c]] = sum over the lines of row cut[c] of out[line], LINES of them at once.

    cut (C), lines (C + 1), out (I and lines x WIDTH).
    """
    row = tl.load(cut + tl.program_id(0))
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sum_ = tl.zeros([LINES, BLOCK], out.dtype.element_ty)
    end = tl.load(lines + tl.program_id(0) + 1)
    for begin in range(tl.load(lines + tl.program_id(0)), end, LINES):
        line = begin + tl.arange(0, LINES)
        sum_ += _gather(out, line, column, line < end, WIDTH)
    tl.store(out + row * WIDTH + column, tl.sum(sum_, 0), column < WIDTH)


@triton.jit
def _sparse_entries(
    edges,
    rows,
    others,
    stack,
    out,
    own,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out[k] = the model's entry at each nonzero: sum over the columns of the product of its rows.

    rows (P) count from `own`, the mode's own first row of the stack; out (M); the rest as in _sparse_rows.
    """
    chunk = tl.program_id(0)
    mine = own + tl.load(rows + chunk).to(tl.int64)
    end = tl.load(edges + chunk + 1)
    for begin in range(tl.load(edges + chunk), end, NONZEROS):
        k = begin + tl.arange(0, NONZEROS)
        here = k < end
        sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
        for first in range(0, WIDTH, BLOCK):
            column = first + tl.arange(0, BLOCK)
            term = tl.load(stack + mine * WIDTH + column, column < WIDTH, 0.0)[None, :]
            for m in tl.static_range(ORDER - 1):
                row = tl.load(others + k * (ORDER - 1) + m, here, 0)
                term = term * _gather(stack, row, column, here, WIDTH)
            sum_ += term
        tl.store(out + k, tl.sum(sum_, 1), here)


@triton.jit
def _fibre_entries(
    edges,
    rows,
    fibres,
    ends,
    inner,
    leaves,
    stack,
    out,
    own,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """As _sparse_entries, over compressed fibres; shapes as in _sparse_fibres."""
    chunk = tl.program_id(0)
    mine = own + tl.load(rows + chunk).to(tl.int64)
    at, end = tl.load(edges + chunk), tl.load(edges + chunk + 1)
    fibre = tl.load(fibres + chunk)
    while at < end:
        stop = tl.minimum(tl.load(ends + fibre + 1).to(tl.int64), end)
        for begin in range(at, stop, NONZEROS):
            k = begin + tl.arange(0, NONZEROS)
            here = k < stop
            leaf = tl.load(leaves + k, here, 0)
            sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
            for first in range(0, WIDTH, BLOCK):
                column = first + tl.arange(0, BLOCK)
                own_row = tl.load(stack + mine * WIDTH + column, column < WIDTH, 0.0)
                shared = _product(own_row, inner + fibre * (ORDER - 2), stack, column, ORDER - 2, WIDTH)
                sum_ += shared[None, :] * _gather(stack, leaf, column, here, WIDTH)
            tl.store(out + k, tl.sum(sum_, 1), here)
        at = stop
        fibre += 1
