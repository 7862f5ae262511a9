"""Tensor operations for dense tensors (torch's) and sparse ones (SparseTensor) alike.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

import polyadic.tensor.contraction as sparse_contraction
import polyadic.tensor.dense as dense
import polyadic.tensor.products as products
import polyadic.tensor.sparse as sparse
from polyadic.errors import UserError
from polyadic.tensor.sparse import SparseTensor


def unfold(tensor: Tensor | SparseTensor, mode: int) -> Tensor:
    """The unfolding X_(mode): I_mode x (the product of the other modes' rows), the last mode's index fastest.

    That of a sparse tensor is a sparse matrix of torch. Raises UserError where it has 2^63 columns or more.
    """
    return sparse.unfold(tensor, mode) if isinstance(tensor, SparseTensor) else dense.unfold(tensor, mode)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """The dense tensor of `shape` whose unfolding along `mode` is the matrix (I_mode x the product of the others).

    fold(unfold(X, n), n, X.shape) is X.
    """
    return matrix.reshape(shape[mode], *shape[:mode], *shape[mode + 1 :]).movedim(0, mode)


def mode_product(tensor: Tensor | SparseTensor, operand: Tensor, mode: int) -> Tensor | SparseTensor:
    """The product X ×_mode U, which sums over the rows of `mode` and the operand's last dimension.

    operand: a vector I_mode, which takes the mode away and leaves a sparse tensor sparse; a matrix J x I_mode, which
    leaves J rows in its place, in a dense tensor; or, for dense X alone, a tensor J_1 x ... x J_k x I_mode.
    Raises UserError where shapes do not match, and where a sparse tensor's dense product has more than 2^31 entries.
    Kolda and Bader, SIAM Review 2009, section 2.5.
    """
    if isinstance(tensor, SparseTensor):
        return sparse.mode_product(tensor, operand, mode)
    return products.mode_product(tensor, operand, mode)


def multi_mode_product(
    tensor: Tensor | SparseTensor, operands: Sequence[Tensor], modes: Sequence[int]
) -> Tensor | SparseTensor:
    """The products X ×_{modes[0]} operands[0] ×_{modes[1]} operands[1] ... along several modes.

    operands: as in `mode_product`; modes: all different, numbers of modes of X itself. A sparse tensor takes vectors
    first, since each makes it smaller; it becomes dense at the first matrix.
    Raises UserError where a mode is given twice, and as `mode_product` does.
    """
    if not isinstance(tensor, SparseTensor):
        return products.multi_mode_product(tensor, operands, modes)
    if len(set(modes)) < len(modes) or len(modes) != len(operands):
        raise UserError(f"modes are {list(modes)} for {len(operands)} operands: give a different mode for each")
    product: Tensor | SparseTensor = tensor
    gone: list[int] = []
    for mode, operand in sorted(zip(modes, operands, strict=True), key=lambda pair: pair[1].ndim):
        product = mode_product(product, operand, mode - sum(other < mode for other in gone))
        gone += [mode] if operand.ndim == 1 else []
    return product


def mttkrp(tensor: Tensor | SparseTensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product, X_(mode) (⊙_{m≠mode} A^(m)), for factors I_m x R: I_mode x R.

    Kolda and Bader, SIAM Review 2009, section 3.4.
    """
    if isinstance(tensor, SparseTensor):
        return sparse.mttkrp(tensor, factors, mode)
    return dense.mttkrp(tensor, factors, mode)


def contract(spec: str, *operands: Tensor | SparseTensor) -> Tensor:
    """The contraction that `spec` writes in Einstein's notation, such as "ijk,jr,kr->ir"; one operand may be sparse.

    `spec` has one letter per mode, and one term per operand; letters that are not right of the arrow are summed over.
    The result is dense. Raises UserError for two sparse operands, and for a spec that does not fit a sparse one.
    """
    if any(isinstance(operand, SparseTensor) for operand in operands):
        return sparse_contraction.contract(spec, *operands)
    return products.contract(spec, *(operand for operand in operands if isinstance(operand, Tensor)))
