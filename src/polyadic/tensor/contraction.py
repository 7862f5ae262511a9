"""Contractions of a sparse tensor with dense ones, in Einstein's notation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import opt_einsum
import torch
from torch import Tensor

from polyadic.errors import UserError, shorten
from polyadic.tensor.sparse import SparseTensor

WORK_NUMBERS = 2**24
"""Numbers of partial products that are in memory at a time, about."""


def contract(spec: str, *operands: Tensor | SparseTensor) -> Tensor:
    """The contraction that `spec` writes, such as "ijk,jr,kr->ir", where one operand is sparse: a dense tensor.

    `spec` has one letter per mode and one term per operand. The letters of the sparse operand's modes are all
    different; z is not used; letters that are not right of the arrow are summed over.
    For each nonzero, the dense operands are taken at its indices, opt_einsum contracts what is left of them, and the
    result is added to the entry that the nonzero's indices give.
    Raises UserError for another number of sparse operands, and for a spec that does not fit the operands.
    """
    terms, result = _terms(spec, operands)
    number = next(n for n, operand in enumerate(operands) if isinstance(operand, SparseTensor))
    sparse, sparse_term = operands[number], terms[number]
    assert isinstance(sparse, SparseTensor)
    dense = [(term, tensor) for term, tensor in zip(terms, operands, strict=True) if isinstance(tensor, Tensor)]
    kept = [letter for letter in result if letter in sparse_term]
    free = [letter for letter in result if letter not in sparse_term]
    rows = dict(zip(sparse_term, sparse.shape, strict=True))
    sizes = {letter: size for term, tensor in dense for letter, size in zip(term, tensor.shape, strict=True)}
    free_sizes = [sizes[letter] for letter in free]
    out = sparse.values.new_zeros(math.prod(rows[letter] for letter in kept), *free_sizes)
    per_nonzero = math.prod(size for letter, size in sizes.items() if letter not in rows)
    step = max(1, WORK_NUMBERS // max(1, per_nonzero))
    for first in range(0, len(sparse.values), step):
        index = dict(zip(sparse_term, sparse.indices[:, first : first + step].long(), strict=True))
        parts = [_taken_at(index, term, tensor) for term, tensor in dense]
        line = ",".join(["z", *(term for term, _ in parts)]) + "->z" + "".join(free)
        values = opt_einsum.contract(line, sparse.values[first : first + step], *(tensor for _, tensor in parts))
        place = torch.zeros_like(sparse.indices[0, first : first + step], dtype=torch.int64)
        for letter in kept:
            place = place * rows[letter] + index[letter]
        out.index_add_(0, place, values)
    shaped = out.reshape([*(rows[letter] for letter in kept), *free_sizes])
    return shaped.permute([[*kept, *free].index(letter) for letter in result])


def check_spec(spec: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises UserError where a spec without an ellipsis does not name the modes of operands of these shapes."""
    if not isinstance(spec, str):
        raise UserError(f"spec is {shorten(spec)}: write one term per operand and ->, such as 'ijk,jr->ikr'")
    left, _, result = spec.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise UserError(f"{spec!r} has {len(terms)} terms for {len(shapes)} operands: write one for each")
    if "." in left:
        return
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape):
            raise UserError(f"{term!r} names {len(term)} modes of an operand of shape {shape}: write a letter for each")
        for letter, size in zip(term, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise UserError(f"the letter {letter!r} of {spec!r} stands for {sizes[letter]} and for {size} rows")
    if missing := sorted(set(result) - set(left)):
        raise UserError(f"{spec!r} has {', '.join(missing)} on its right alone: those letters stand for no mode")
    if len(set(result)) < len(result):
        raise UserError(f"{spec!r} has a letter twice on its right: each mode of the result needs its own")


def _terms(spec: str, operands: Sequence[Tensor | SparseTensor]) -> tuple[list[str], str]:
    """The operands' terms and the result's; UserError where they do not fit the operands."""
    left, arrow, result = spec.replace(" ", "").partition("->")
    terms = left.split(",")
    sparse = [number for number, operand in enumerate(operands) if isinstance(operand, SparseTensor)]
    if not arrow or len(terms) != len(operands) or len(sparse) != 1:
        raise UserError(
            f"{spec!r} with {len(operands)} operands, {len(sparse)} of them sparse: write one term per operand and ->, "
            "such as 'ijk,jr->ikr', with one sparse operand"
        )
    term, order = terms[sparse[0]], len(operands[sparse[0]].shape)
    if len(set(term)) != len(term) or len(term) != order or "z" in left:
        raise UserError(
            f"{term!r} does not name the {order} modes of the sparse tensor: write a letter of its own for each, not z"
        )
    return terms, result


def _taken_at(index: dict[str, Tensor], term: str, operand: Tensor) -> tuple[str, Tensor]:
    """A dense operand at the nonzeros' indices, and its term: z for the nonzeros, then the letters that are left."""
    shared = [n for n, letter in enumerate(term) if letter in index]
    own = [n for n, letter in enumerate(term) if letter not in index]
    if not shared:
        return term, operand
    turned = operand.permute([*shared, *own])
    return "z" + "".join(term[n] for n in own), turned[tuple(index[term[n]] for n in shared)]
