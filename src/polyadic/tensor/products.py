"""Products of dense tensors: along one mode, along several at once, and general contractions.

Shapes: a tensor is I_1 x ... x I_N; modes count from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import opt_einsum
import torch
from torch import Tensor

from polyadic.errors import UserError
from polyadic.tensor.skinny import MOST_KERNEL_COLUMNS, aligned, skinny_product

LEAST_KERNEL_NUMBERS = 2**20
"""Numbers of a tensor from which a kernel of our own is worth the start of its threads."""
NARROW_COLUMNS = 8
"""With fewer columns than this a batched product is slow, so that it is taken along the rows instead."""


def mode_product(tensor: Tensor, operand: Tensor, mode: int) -> Tensor:
    """The product X ×_mode U, which sums over the rows of `mode` and the operand's last dimension.

    tensor: I_1 x ... x I_N; operand: a vector I_mode, which takes the mode away; a matrix J x I_mode, which leaves J
    rows in its place; or a tensor J_1 x ... x J_k x I_mode, which leaves k modes there. The tensor is not copied.
    Raises UserError where the mode does not exist, or has other rows than the operand's last dimension.
    Kolda and Bader, SIAM Review 2009, section 2.5.
    """
    return multi_mode_product(tensor, [operand], [mode])


def multi_mode_product(tensor: Tensor, operands: Sequence[Tensor], modes: Sequence[int] | None = None) -> Tensor:
    """The products X ×_{modes[0]} operands[0] ×_{modes[1]} operands[1] ... along several modes.

    tensor: I_1 x ... x I_N; operands: as in `mode_product`; modes: all different, by default the first ones in order.
    They are numbers of modes of `tensor` itself, even where an operand takes another mode away. The product that
    shrinks the tensor most is done first.
    Raises UserError where a mode does not exist or is given twice, or where shapes do not match.
    """
    modes = range(len(operands)) if modes is None else modes
    check_operands(tensor.shape, operands, modes)
    pairs = list(zip(modes, operands, strict=True))
    product = tensor
    for mode, operand in sorted(pairs, key=lambda pair: math.prod(pair[1].shape[:-1]) / max(1, pair[1].shape[-1])):
        product = _matrix_product(product, operand.reshape(math.prod(operand.shape[:-1]), operand.shape[-1]), mode)
    places = {mode: operand.shape[:-1] for mode, operand in pairs}
    return product.reshape([rows for n, own in enumerate(tensor.shape) for rows in places.get(n, (own,))])


def contract(spec: str, *operands: Tensor) -> Tensor:
    """The contraction of tensors that `spec` writes in Einstein's notation, such as "ijk,jr,kr->ir".

    `spec` has one letter per mode, and one term per operand; letters that are not right of the arrow are summed over.
    opt_einsum finds an order of pairwise products that needs little arithmetic.
    """
    result: Tensor = opt_einsum.contract(spec, *operands)
    return result


def _matrix_product(tensor: Tensor, matrix: Tensor, mode: int) -> Tensor:
    """X ×_mode matrix by matrix products on the view left x I_mode x right."""
    before, after = tensor.shape[:mode], tensor.shape[mode + 1 :]
    view = tensor.reshape(math.prod(before), tensor.shape[mode], math.prod(after))
    if view.shape[2] == 1:
        for_kernel = _for_a_kernel(view, matrix)
        product = (
            skinny_product(view, aligned(matrix.T), len(view), 1)[0][:, : len(matrix)]
            if for_kernel
            else view[:, :, 0] @ matrix.T
        )
        return product.reshape(*before, len(matrix), *after)
    by_rows = view.shape[2] < NARROW_COLUMNS
    product = (view.transpose(1, 2) @ matrix.T).transpose(1, 2) if by_rows else matrix @ view
    return product.reshape(*before, len(matrix), *after)


def _for_a_kernel(view: Tensor, matrix: Tensor) -> bool:
    """Whether the product is large and its matrix small, on a CPU, with nothing to differentiate."""
    plain = view.device.type == "cpu" and view.dtype in (torch.float32, torch.float64) and view.dtype == matrix.dtype
    differentiated = torch.is_grad_enabled() and (view.requires_grad or matrix.requires_grad)
    return plain and not differentiated and len(matrix) <= MOST_KERNEL_COLUMNS and view.numel() >= LEAST_KERNEL_NUMBERS


def check_operands(shape: Sequence[int], operands: Sequence[Tensor], modes: Sequence[int]) -> None:
    """Raises UserError where a mode does not exist or is given twice, or an operand's last dimension does not fit."""
    if len(modes) != len(operands) or len(set(modes)) < len(modes):
        raise UserError(f"modes are {list(modes)} for {len(operands)} operands: give a different mode for each")
    for mode, operand in zip(modes, operands, strict=True):
        if not 0 <= mode < len(shape):
            raise UserError(f"mode is {mode}: the tensor has modes 0 to {len(shape) - 1}")
        if operand.ndim == 0 or operand.shape[-1] != shape[mode]:
            raise UserError(
                f"an operand of shape {tuple(operand.shape)} does not fit mode {mode}: "
                f"its last dimension must be the mode's {shape[mode]} rows"
            )
