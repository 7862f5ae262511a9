"""Vectors of a compile-time length as values in numba code: a factor's row, or a part of it, in registers.

LLVM keeps such a value in as many SIMD registers as it needs; an array in its place would live in memory, with a load
and a store at every step of a sum. Arrays are two-dimensional and contiguous by rows.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = {"float32": 8, "float64": 4}
"""Numbers of a 256-bit register; rows are padded to a multiple of it."""

_INT32 = ir.IntType(32)
_READ, _KEEP, _DATA = _INT32(0), _INT32(3), _INT32(1)


class Vector(types.Type):
    """The numba type of a vector of `length` numbers."""

    def __init__(self, dtype: Any, length: int) -> None:
        self.dtype, self.length = dtype, length
        super().__init__(name=f"Vector({dtype}, {length})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    """A vector is an LLVM vector."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.dtype).get_value_type(), kind.length))


def _address(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> Any:
    """The address of array[row, column]."""
    parts = context.make_array(kind)(context, builder, array)
    stride = builder.extract_value(parts.shape, 1)
    return builder.gep(parts.data, [builder.add(builder.mul(row, stride), column)])


def _pick(length: Any) -> int | None:
    return length.literal_value if isinstance(length, types.IntegerLiteral) else None


@intrinsic(prefer_literal=True)
def zeros(typing: Any, array: Any, length: Any) -> Any:
    """A vector of zeros, of the array's type."""
    if (n := _pick(length)) is None:
        return None
    kind = Vector(array.dtype, n)
    return kind(array, length), lambda context, builder, signature, values: context.get_value_type(kind)([0.0] * n)


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, row: Any, column: Any, length: Any) -> Any:
    """array[row, column : column + length]."""
    if (n := _pick(length)) is None:
        return None
    kind = Vector(array.dtype, n)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _address(context, builder, signature.args[0], *values[:3])
        pointer = builder.bitcast(address, context.get_value_type(kind).as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return kind(array, types.intp, types.intp, length), generate


@intrinsic
def store(typing: Any, array: Any, row: Any, column: Any, vector: Any) -> Any:
    """array[row, column : column + length] = vector."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _address(context, builder, signature.args[0], *values[:3])
        builder.store(values[3], builder.bitcast(address, values[3].type.as_pointer()), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, vector), generate


@intrinsic
def at(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """array[row, column], without a look at the signs of the indices."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], *values))

    return array.dtype(array, types.intp, types.intp), generate


@intrinsic
def prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Asks for the cache line of array[row, column]; an address past the end does no harm."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = builder.bitcast(_address(context, builder, signature.args[0], *values), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, _READ, _KEEP, _DATA])
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp), generate


@intrinsic
def scaled(typing: Any, number: Any, vector: Any, total: Any) -> Any:
    """number · vector + total, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[1].type
        empty = kind(ir.Undefined)
        one = builder.insert_element(empty, values[0], _INT32(0))
        spread = builder.shuffle_vector(one, empty, ir.VectorType(_INT32, kind.count)([0] * kind.count))
        return _fma(builder, spread, values[1], values[2])

    return vector(vector.dtype, vector, total), generate


@intrinsic
def multiplied(typing: Any, left: Any, right: Any, total: Any) -> Any:
    """left * right + total, rounded once."""
    return left(left, right, total), lambda context, builder, signature, values: _fma(builder, *values)


@intrinsic
def product(typing: Any, left: Any, right: Any) -> Any:
    """left * right."""
    return left(left, right), lambda context, builder, signature, values: builder.fmul(*values)


@intrinsic
def added(typing: Any, left: Any, right: Any) -> Any:
    """left + right."""
    return left(left, right), lambda context, builder, signature, values: builder.fadd(*values)


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of a vector's numbers."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[0].type
        name = f"llvm.vector.reduce.fadd.{_suffix(kind)}"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind.element, [kind.element, kind]), name
        )
        return builder.call(function, [kind.element(0.0), values[0]], fastmath=["reassoc"])

    return vector.dtype(vector), generate


@intrinsic
def widened(typing: Any, vector: Any) -> Any:
    """The vector in float64."""
    kind = Vector(types.float64, vector.length)
    return kind(vector), lambda context, builder, signature, values: builder.fpext(
        values[0], context.get_value_type(kind)
    )


def _fma(builder: Any, left: Any, right: Any, total: Any) -> Any:
    kind = left.type
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.{_suffix(kind)}"
    )
    return builder.call(function, [left, right, total])


def _suffix(kind: Any) -> str:
    return f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
