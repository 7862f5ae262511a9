"""The dictionary of tensor operations, for dense tensors (torch's) and sparse ones (SparseTensor) alike.

Shapes: a tensor is I_1 x ... x I_N, factor n is I_n x R; modes count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor import contraction as _contraction
from polyadic.tensor import dense as _dense
from polyadic.tensor import products as _products
from polyadic.tensor import sparse as _sparse
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.dense import khatri_rao
from polyadic.tensor.sparse import SparseTensor
from polyadic.tensor.tensor_train import TensorTrain
from polyadic.tensor.tucker_tensor import TuckerTensor

__all__ = [
    "CPTensor",
    "SparseTensor",
    "TensorTrain",
    "TuckerTensor",
    "contract",
    "fold",
    "khatri_rao",
    "mode_product",
    "mttkrp",
    "multi_mode_product",
    "unfold",
]


def unfold(tensor: Tensor | SparseTensor, mode: int) -> Tensor:
    """The unfolding along `mode`: I_mode x (the product of the others, in their order); sparse of a sparse tensor."""
    return _sparse.unfold(tensor, mode) if isinstance(tensor, SparseTensor) else _dense.unfold(tensor, mode)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """The dense tensor of `shape` whose unfolding along `mode` is the matrix: fold(unfold(X, n), n, X.shape) is X."""
    return matrix.reshape(shape[mode], *shape[:mode], *shape[mode + 1 :]).movedim(0, mode)


def mode_product(tensor: Tensor | SparseTensor, operand: Tensor, mode: int) -> Tensor | SparseTensor:
    """X ×_mode U. A vector (I_mode) takes the mode away, and a sparse tensor stays sparse; a matrix (J x I_mode) leaves
    J rows in its place, dense; a tensor (J_1 x ... x I_mode) as many modes as it has others, for dense X."""
    product = _sparse.mode_product if isinstance(tensor, SparseTensor) else _products.mode_product
    return product(tensor, operand, mode)  # type: ignore[arg-type]  # Each takes its own kind.


def multi_mode_product(
    tensor: Tensor | SparseTensor, operands: Sequence[Tensor], modes: Sequence[int]
) -> Tensor | SparseTensor:
    """X ×_{modes[0]} operands[0] ×_{modes[1]} ... along several modes at once; modes are those of X itself.

    Of a sparse tensor, vectors first: each makes it smaller; at the first matrix it becomes dense.
    """
    if not isinstance(tensor, SparseTensor):
        return _products.multi_mode_product(tensor, operands, modes)
    if len(set(modes)) < len(modes) or len(modes) != len(operands):
        raise UserError(f"modes are {list(modes)} for {len(operands)} operands: give a different mode for each")
    product: Tensor | SparseTensor = tensor
    gone: list[int] = []
    for mode, operand in sorted(zip(modes, operands, strict=True), key=lambda pair: pair[1].ndim):
        product = mode_product(product, operand, mode - sum(one < mode for one in gone))
        gone += [mode] if operand.ndim == 1 else []
    return product


def mttkrp(tensor: Tensor | SparseTensor, factors: Sequence[Tensor], mode: int) -> Tensor:
    """The matricised tensor times Khatri-Rao product X_(n) (⊙_{m≠n} A^(m)): I_mode x R."""
    return (
        _sparse.mttkrp(tensor, factors, mode)
        if isinstance(tensor, SparseTensor)
        else _dense.mttkrp(tensor, factors, mode)
    )


def contract(spec: str, *operands: Tensor | SparseTensor) -> Tensor:
    """The contraction that `spec` writes in Einstein's notation, such as "ijk,jr,kr->ir"; one operand may be sparse."""
    if any(isinstance(one, SparseTensor) for one in operands):
        return _contraction.contract(spec, *operands)
    return _products.contract(spec, *(one for one in operands if isinstance(one, Tensor)))
