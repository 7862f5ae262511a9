"""Contractions of one sparse tensor with dense ones, in Einstein's notation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import opt_einsum
import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.sparse import SparseTensor

AT_ONCE = 2**24
"""Numbers of the partial products of some nonzeros."""


def contract(spec: str, *operands: Tensor | SparseTensor) -> Tensor:
    """The contraction that `spec` writes, such as "ijk,jr,kr->ir", one of whose operands is sparse: a dense tensor.

    One letter a mode, different ones for the sparse tensor's modes; a letter that the right side lacks is summed over.
    For each nonzero the dense operands are taken at its indices, opt_einsum contracts what is left of them, and the
    results are added up by those of its indices that the right side keeps. Shapes: as the letters say.
    Raises UserError for another number of sparse operands, and for a spec that is none.
    """
    terms, arrow, result = spec.replace(" ", "").partition("->")
    letters = terms.split(",")
    which = [n for n, one in enumerate(operands) if isinstance(one, SparseTensor)]
    if not arrow or len(letters) != len(operands) or len(which) != 1:
        raise UserError(
            f"{spec!r} with {len(operands)} operands, {len(which)} of them sparse: write a term an operand and ->, "
            "such as 'ijk,jr->ikr', with one sparse operand"
        )
    sparse, own = operands[which[0]], letters[which[0]]
    assert isinstance(sparse, SparseTensor)
    if len(set(own)) != len(own) or len(own) != len(sparse.shape) or "z" in terms:
        raise UserError(
            f"{own!r} does not name the {len(sparse.shape)} modes of the sparse tensor: a letter each, not z"
        )
    dense = [(term, one) for term, one in zip(letters, operands, strict=True) if isinstance(one, Tensor)]
    kept, free = [one for one in result if one in own], [one for one in result if one not in own]
    sizes = {letter: size for term, one in dense for letter, size in zip(term, one.shape, strict=True)}
    rest = math.prod(sizes[letter] for letter in {letter for term, _ in dense for letter in term} - set(own))
    out = sparse.values.new_zeros(math.prod(_rows(sparse, own, kept)), *(sizes[letter] for letter in free))
    step = max(1, AT_ONCE // max(1, rest))
    for first in range(0, len(sparse.values), step):
        index = dict(zip(own, sparse.indices[:, first : first + step].long(), strict=True))
        parts = [_at(term, one, index) for term, one in dense]
        line = ",".join(["z", *(term for term, _ in parts)]) + "->z" + "".join(free)
        values = opt_einsum.contract(line, sparse.values[first : first + step], *(one for _, one in parts))
        place = torch.zeros_like(sparse.indices[0, first : first + step], dtype=torch.int64)
        for letter, rows in zip(kept, _rows(sparse, own, kept), strict=True):
            place = place * rows + index[letter]
        out.index_add_(0, place, values)
    shaped = out.reshape([*_rows(sparse, own, kept), *(sizes[letter] for letter in free)])
    return shaped.permute([[*kept, *free].index(letter) for letter in result])


def _rows(sparse: SparseTensor, own: str, kept: Sequence[str]) -> list[int]:
    return [sparse.shape[own.index(letter)] for letter in kept]


def _at(term: str, operand: Tensor, index: dict[str, Tensor]) -> tuple[str, Tensor]:
    """A dense operand at the nonzeros' indices: z first for these, then the letters that are its own."""
    shared = [n for n, letter in enumerate(term) if letter in index]
    own = [n for n, letter in enumerate(term) if letter not in index]
    if not shared:
        return term, operand
    turned = operand.permute([*shared, *own])
    return "z" + "".join(term[n] for n in own), turned[tuple(index[term[n]] for n in shared)]
