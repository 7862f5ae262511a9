"""Tensor operations for dense tensors (torch's) and sparse ones (SparseTensor) alike.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0, negative ones from the end. A dense tensor
or an operand may also be an array or nested lists, of any real type: see polyadic.tensor.arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

import polyadic.tensor.arguments as arguments
import polyadic.tensor.contraction as sparse_contraction
import polyadic.tensor.dense as dense
import polyadic.tensor.products as products
import polyadic.tensor.sparse as sparse
from polyadic.errors import UserError
from polyadic.tensor.arguments import Dense
from polyadic.tensor.sparse import SparseTensor, tensor_of


@arguments.checked()
def unfold(tensor: Dense | SparseTensor, mode: int) -> Tensor:
    """The unfolding X_(mode): I_mode x (the product of the other modes' rows), the last mode's index fastest.

    That of a sparse tensor is a sparse matrix of torch.
    Raises UserError for a mode that does not exist, and where a sparse tensor has 2^63 columns or more.
    """
    given = tensor_of(tensor)
    mode = arguments.mode_of(mode, len(given.shape))
    return sparse.unfold(given, mode) if isinstance(given, SparseTensor) else dense.unfold(given, mode)


@arguments.checked()
def fold(matrix: Dense, mode: int, shape: Sequence[int]) -> Tensor:
    """The dense tensor of `shape` whose unfolding along `mode` is the matrix (I_mode x the product of the others).

    fold(unfold(X, n), n, X.shape) is X. Raises UserError for a matrix that does not fit the shape.
    """
    given, rows = arguments.dense(matrix, "matrix"), arguments.shape_of(shape)
    mode = arguments.mode_of(mode, len(rows))
    columns = math.prod(rows[:mode] + rows[mode + 1 :])
    if given.shape != (rows[mode], columns):
        raise UserError(
            f"the matrix is {tuple(given.shape)}: the unfolding of {rows} along mode {mode} is {(rows[mode], columns)}"
        )
    return given.reshape(rows[mode], *rows[:mode], *rows[mode + 1 :]).movedim(0, mode)


@arguments.checked()
def mode_product(tensor: Dense | SparseTensor, operand: Dense, mode: int) -> Tensor | SparseTensor:
    """The product X ×_mode U, which sums over the rows of `mode` and the operand's last dimension.

    operand: a vector I_mode, which takes the mode away and leaves a sparse tensor sparse; a matrix J x I_mode, which
    leaves J rows in its place, in a dense tensor; or, for dense X alone, a tensor J_1 x ... x J_k x I_mode.
    Raises UserError where shapes do not match, and where a sparse tensor's dense product has more than 2^31 entries.
    Kolda and Bader, SIAM Review 2009, section 2.5.
    """
    return multi_mode_product(tensor, [operand], [mode])


@arguments.checked()
def multi_mode_product(
    tensor: Dense | SparseTensor, operands: Sequence[Dense], modes: Sequence[int] | None = None
) -> Tensor | SparseTensor:
    """The products X ×_{modes[0]} operands[0] ×_{modes[1]} operands[1] ... along several modes.

    operands: as in `mode_product`; modes: all different, numbers of modes of X itself, by default the first ones. A
    sparse tensor takes vectors first, since each makes it smaller; it becomes dense at the first matrix.
    Raises UserError where a mode is given twice, and as `mode_product` does.
    """
    given = tensor_of(tensor)
    same, parts = _alike(given, arguments.dense_list(operands, "operands"))
    order = len(same.shape)
    wanted = [arguments.mode_of(mode, order) for mode in (range(len(parts)) if modes is None else modes)]
    products.check_operands(same.shape, parts, wanted)
    if isinstance(same, SparseTensor) and any(part.ndim > 2 for part in parts):
        shapes = [tuple(part.shape) for part in parts]
        raise UserError(f"operands have the shapes {shapes}: each for a sparse tensor must be a vector or a matrix")
    if not isinstance(same, SparseTensor):
        return products.multi_mode_product(same, parts, wanted)
    product: Tensor | SparseTensor = same
    gone: list[int] = []
    for mode, operand in sorted(zip(wanted, parts, strict=True), key=lambda pair: pair[1].ndim):
        place = mode - sum(other < mode for other in gone)
        if isinstance(product, SparseTensor):
            product = sparse.mode_product(product, operand, place)
        else:
            product = products.mode_product(product, operand, place)
        gone += [mode] if operand.ndim == 1 else []
    return product


@arguments.checked()
def khatri_rao(factors: Sequence[Dense]) -> Tensor:
    """The Khatri-Rao product of factors (I_n x R), column by column their Kronecker product: (I_1 ... I_N) x R.

    The last factor's index is fastest. Raises UserError where factors have different numbers of columns.
    Kolda and Bader, SIAM Review 2009, section 2.6.
    """
    parts = arguments.alike(arguments.dense_list(factors, "factors"))
    if not parts:
        raise UserError("factors are []: give one or more")
    _check_columns(parts, [len(part) for part in parts if part.ndim])
    return dense.khatri_rao(parts)


@arguments.checked()
def mttkrp(tensor: Dense | SparseTensor, factors: Sequence[Dense], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product, X_(mode) (⊙_{m≠mode} A^(m)), for factors I_m x R: I_mode x R.

    factors: one for each mode; that of `mode` is not looked at.
    Raises UserError for another number of them, for rows that are not those of their mode, and for different ranks.
    Kolda and Bader, SIAM Review 2009, section 3.4.
    """
    given = tensor_of(tensor)
    mode, rows = arguments.mode_of(mode, len(given.shape)), list(given.shape)
    if len(factors) != len(rows):
        raise UserError(f"got {len(factors)} factors: a tensor of {len(rows)} modes needs {len(rows)}, one for each")
    if len(rows) < 2:
        raise UserError("the tensor has 1 mode: a product with the factors of other modes needs 2 or more")
    others = [factor for m, factor in enumerate(factors) if m != mode]
    same, parts = _alike(given, arguments.dense_list(others, "factors"))
    _check_columns(parts, rows[:mode] + rows[mode + 1 :])
    parts.insert(mode, parts[0].new_empty(rows[mode], parts[0].shape[1]))
    if isinstance(same, SparseTensor):
        return sparse.mttkrp(same, parts, mode)
    return dense.mttkrp(same, parts, mode)


def contract(spec: str, *operands: Dense | SparseTensor) -> Tensor:
    """The contraction that `spec` writes in Einstein's notation, such as "ijk,jr,kr->ir"; one operand may be sparse.

    `spec` has one letter per mode, and one term per operand; letters that are not right of the arrow are summed over.
    The result is dense. Raises UserError for two sparse operands, for a spec that does not fit the operands, and where
    a letter stands for modes of different sizes.
    """
    given = [tensor_of(operand, f"operand {number}") for number, operand in enumerate(operands)]
    values = [operand.values if isinstance(operand, SparseTensor) else operand for operand in given]
    same = [_with(operand, part) for operand, part in zip(given, arguments.alike(values), strict=True)]
    sparse_contraction.check_spec(spec, [tuple(operand.shape) for operand in same])
    if any(isinstance(operand, SparseTensor) for operand in same):
        return sparse_contraction.contract(spec, *same)
    return products.contract(spec, *(operand for operand in same if isinstance(operand, Tensor)))


def _alike(tensor: Tensor | SparseTensor, operands: list[Tensor]) -> tuple[Tensor | SparseTensor, list[Tensor]]:
    """A tensor and its operands in the type that holds all of them, on the tensor's device."""
    if not isinstance(tensor, SparseTensor):
        same, *others = arguments.alike([tensor, *operands])
        return same, others
    values, *others = arguments.alike([tensor.values, *operands])
    return _with(tensor, values), others


def _with(operand: Tensor | SparseTensor, values: Tensor) -> Tensor | SparseTensor:
    """The values of a dense operand, or a sparse one with these values."""
    if not isinstance(operand, SparseTensor) or values is operand.values:
        return operand if isinstance(operand, SparseTensor) else values
    return SparseTensor(operand.indices.to(values.device), values, operand.shape)


def _check_columns(factors: Sequence[Tensor], rows: Sequence[int]) -> None:
    """Raises UserError unless the factors are matrices of these rows, all with as many columns."""
    shapes = [tuple(factor.shape) for factor in factors]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) > 1:
        raise UserError(f"factors have the shapes {shapes}: they must be matrices with the same number of columns")
    if [shape[0] for shape in shapes] != list(rows):
        raise UserError(f"factors have the shapes {shapes}: their rows must be those of their modes, {list(rows)}")
