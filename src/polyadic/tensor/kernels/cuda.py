"""The kernels of a GPU, in Triton: products over sorted nonzeros, the same every time they run.

A program takes one chunk of the nonzeros (chunks.py), which lies within one row, and `BLOCK` columns of the factors.
It reads `NONZEROS` of them at once, as a tile whose sums stay in registers. The factors of all modes lie in one array,
`stack`, of `WIDTH` columns; indices are rows of it. Names in capitals are compile-time constants.

Shapes: P chunks, M nonzeros, F fibres, I rows, S rows of the stack, W columns (`WIDTH`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from polyadic.tensor.kernels.chunks import Chunks

LAUNCH_OPTIONS = {"num_warps": 1, "enable_fp_fusion": True}
"""One warp per program; a product and a sum are rounded together, as in the kernels of a CPU."""
TILE_NUMBERS = {torch.float32: 512, torch.float64: 256}
"""Numbers of a tile: enough that a warp waits for many of them at once, few enough for its registers."""
SMALLEST_TILE_DIVISOR = 4
"""The smallest tile has the full tile's numbers divided by this, however few nonzeros there are to fill it."""
BLOCK_COLUMNS = (128, 64, 32, 16, 8, 4)
"""Columns that a tile may have: powers of two."""
MOST_TILE_COLUMNS_RATIO = 1.25
"""The columns of all tiles may be so many times the stack's columns before narrower tiles are taken."""


def mttkrp(
    chunks: Chunks, indices: Sequence[Tensor], values: Tensor, stack: Tensor, *, order: int, rows: int
) -> Tensor:
    """The MTTKRP of M sorted nonzeros in `rows` rows, for a tensor of `order` modes: rows x W.

    indices: of the other modes, rows of the stack: (others,) of M x order - 1, or where fibres are compressed
    (fibre_starts, inner, leaves) of F + 1, F x order - 2 and M; values: M; stack: S x W.
    """
    width = stack.shape[1]
    out = stack.new_zeros(rows + chunks.extra_lines, width)
    block, nonzeros = _tile(stack, chunks.mean_run)
    blocks = math.ceil(width / block)
    sizes = {"WIDTH": width, "BLOCK": block, **LAUNCH_OPTIONS}
    kernel = _sparse_rows if chunks.fibres is None else _sparse_fibres
    with torch.cuda.device_of(stack):
        if len(chunks.rows):
            places = (chunks.edges, chunks.targets, *_places(chunks, indices))
            kernel[len(chunks.rows), blocks](*places, values, stack, out, ORDER=order, NONZEROS=nonzeros, **sizes)
        if chunks.extra_lines:
            lines = TILE_NUMBERS[stack.dtype] // block
            _add_up[len(chunks.cut_rows), blocks](chunks.cut_rows, chunks.lines, out, LINES=lines, **sizes)
    return out[:rows]


def entries(chunks: Chunks, indices: Sequence[Tensor], stack: Tensor, *, order: int, own_start: int) -> Tensor:
    """The model's entries at M sorted nonzeros: M. The sum over the columns of the product of the modes' rows.

    own_start: the row of the stack at which the factor of the nonzeros' rows begins; the rest as in `mttkrp`.
    """
    out = stack.new_empty(len(indices[-1]))
    block, nonzeros = _tile(stack, chunks.mean_run)
    sizes = {"WIDTH": stack.shape[1], "BLOCK": block, "ORDER": order, "NONZEROS": nonzeros, **LAUNCH_OPTIONS}
    kernel = _sparse_entries if chunks.fibres is None else _fibre_entries
    with torch.cuda.device_of(stack):
        if len(chunks.rows):
            places = (chunks.edges, chunks.rows, *_places(chunks, indices))
            kernel[(len(chunks.rows),)](*places, stack, out, own_start, **sizes)
    return out


def _places(chunks: Chunks, indices: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The indices as the kernels take them: where fibres are compressed, the fibre of each chunk before them."""
    return (*indices,) if chunks.fibres is None else (chunks.fibres, *indices)


def _tile(stack: Tensor, mean_run: float) -> tuple[int, int]:
    """The columns and the nonzeros of a program's tile, where runs have `mean_run` nonzeros on average."""
    width, tile = stack.shape[1], TILE_NUMBERS[stack.dtype]
    most = MOST_TILE_COLUMNS_RATIO * width
    block = next((block for block in BLOCK_COLUMNS if math.ceil(width / block) * block <= most), BLOCK_COLUMNS[-1])
    filled = block * triton.next_power_of_2(math.ceil(mean_run))
    return block, max(1, min(tile, max(tile // SMALLEST_TILE_DIVISOR, filled)) // block)


@triton.jit
def _gather(stack, row, column, inside, WIDTH: tl.constexpr):
    """stack[row, column] (K x C) for K rows, zeros where not `inside` (K)."""
    mask = inside[:, None] & (column < WIDTH)[None, :]
    return tl.load(stack + row.to(tl.int64)[:, None] * WIDTH + column[None, :], mask, 0.0)


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
        inside = k < end
        term = tl.load(values + k, inside, 0.0)[:, None]
        for m in tl.static_range(ORDER - 1):
            row = tl.load(others + k * (ORDER - 1) + m, inside, 0)
            term = term * _gather(stack, row, column, inside, WIDTH)
        sum_ += term
    target = tl.load(targets + chunk)
    tl.store(out + target * WIDTH + column, tl.sum(sum_, 0), column < WIDTH)


@triton.jit
def _sparse_fibres(
    edges,
    targets,
    fibres,
    fibre_starts,
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
    fibres (P), fibre_starts (F + 1), inner (F x ORDER - 2), leaves (M); the rest as in _sparse_rows.
    """
    chunk = tl.program_id(0)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
    start, end = tl.load(edges + chunk), tl.load(edges + chunk + 1)
    fibre = tl.load(fibres + chunk)
    while start < end:
        stop = tl.minimum(tl.load(fibre_starts + fibre + 1).to(tl.int64), end)
        ones = tl.full([BLOCK], 1.0, stack.dtype.element_ty)
        shared = _product(ones, inner + fibre * (ORDER - 2), stack, column, ORDER - 2, WIDTH)
        for begin in range(start, stop, NONZEROS):
            k = begin + tl.arange(0, NONZEROS)
            inside = k < stop
            leaf = _gather(stack, tl.load(leaves + k, inside, 0), column, inside, WIDTH)
            sum_ += tl.load(values + k, inside, 0.0)[:, None] * leaf * shared[None, :]
        start = stop
        fibre += 1
    target = tl.load(targets + chunk)
    tl.store(out + target * WIDTH + column, tl.sum(sum_, 0), column < WIDTH)


@triton.jit
def _add_up(cut_rows, lines, out, WIDTH: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr):
    """out[cut_rows[c]] = sum over the lines of row cut_rows[c] of out[line], LINES of them at once.

    cut_rows (C), lines (C + 1), out (I and lines x WIDTH).
    """
    row = tl.load(cut_rows + tl.program_id(0))
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
    own_start,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out[k] = the model's entry at each nonzero: sum over the columns of the product of its rows.

    rows (P) count from `own_start`, the row of the stack at which the mode's factor begins; out (M); the
    rest as in _sparse_rows.
    """
    chunk = tl.program_id(0)
    own_row = own_start + tl.load(rows + chunk).to(tl.int64)
    end = tl.load(edges + chunk + 1)
    for begin in range(tl.load(edges + chunk), end, NONZEROS):
        k = begin + tl.arange(0, NONZEROS)
        inside = k < end
        sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
        for first in range(0, WIDTH, BLOCK):
            column = first + tl.arange(0, BLOCK)
            term = tl.load(stack + own_row * WIDTH + column, column < WIDTH, 0.0)[None, :]
            for m in tl.static_range(ORDER - 1):
                row = tl.load(others + k * (ORDER - 1) + m, inside, 0)
                term = term * _gather(stack, row, column, inside, WIDTH)
            sum_ += term
        tl.store(out + k, tl.sum(sum_, 1), inside)


@triton.jit
def _fibre_entries(
    edges,
    rows,
    fibres,
    fibre_starts,
    inner,
    leaves,
    stack,
    out,
    own_start,
    WIDTH: tl.constexpr,
    ORDER: tl.constexpr,
    NONZEROS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """As _sparse_entries, over compressed fibres; shapes as in _sparse_fibres."""
    chunk = tl.program_id(0)
    own_row = own_start + tl.load(rows + chunk).to(tl.int64)
    start, end = tl.load(edges + chunk), tl.load(edges + chunk + 1)
    fibre = tl.load(fibres + chunk)
    while start < end:
        stop = tl.minimum(tl.load(fibre_starts + fibre + 1).to(tl.int64), end)
        for begin in range(start, stop, NONZEROS):
            k = begin + tl.arange(0, NONZEROS)
            inside = k < stop
            leaf = tl.load(leaves + k, inside, 0)
            sum_ = tl.zeros([NONZEROS, BLOCK], stack.dtype.element_ty)
            for first in range(0, WIDTH, BLOCK):
                column = first + tl.arange(0, BLOCK)
                own_values = tl.load(stack + own_row * WIDTH + column, column < WIDTH, 0.0)
                shared = _product(own_values, inner + fibre * (ORDER - 2), stack, column, ORDER - 2, WIDTH)
                sum_ += shared[None, :] * _gather(stack, leaf, column, inside, WIDTH)
            tl.store(out + k, tl.sum(sum_, 1), inside)
        start = stop
        fibre += 1
