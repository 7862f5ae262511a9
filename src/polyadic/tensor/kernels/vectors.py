"""Vectors of a compile-time length as values in numba code: a factor's row, or a part of it, in registers.

LLVM keeps such a value in as many SIMD registers as it needs. An array in its place would be in memory, with a load and
a store at every step of a sum. Arrays are two-dimensional and contiguous by rows; indices are not checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

_INT32 = ir.IntType(32)
_READ, _KEEP, _DATA = _INT32(0), _INT32(3), _INT32(1)
"""Arguments of LLVM's prefetch: for reading, to be kept in all caches, data and no code."""


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


def _known_length(length: Any) -> int | None:
    """The length where it is a compile-time constant, or a tuple of so many numbers; otherwise None."""
    if isinstance(length, types.UniTuple):
        return int(length.count)
    return length.literal_value if isinstance(length, types.IntegerLiteral) else None


@intrinsic(prefer_literal=True)
def zeros(typing: Any, array: Any, length: Any) -> Any:
    """A vector of zeros, of the array's type."""
    if (n := _known_length(length)) is None:
        return None
    kind = Vector(array.dtype, n)
    return kind(array, length), lambda context, builder, signature, values: context.get_value_type(kind)([0.0] * n)


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, row: Any, column: Any, length: Any) -> Any:
    """array[row, column : column + length]."""
    if (n := _known_length(length)) is None:
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
def entry(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """array[row, column]; negative indices do not count from the end."""

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
        first = builder.insert_element(empty, values[0], _INT32(0))
        spread = builder.shuffle_vector(first, empty, ir.VectorType(_INT32, kind.count)([0] * kind.count))
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
def subtracted(typing: Any, left: Any, right: Any) -> Any:
    """left - right."""
    return left(left, right), lambda context, builder, signature, values: builder.fsub(*values)


@intrinsic
def largest(typing: Any, left: Any, right: Any) -> Any:
    """The larger of left and right, number by number."""
    return left(left, right), lambda context, builder, signature, values: _elementwise(builder, "llvm.maxnum", *values)


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

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return values[0] if vector == kind else builder.fpext(values[0], context.get_value_type(kind))

    return kind(vector), generate


@intrinsic
def logistic(typing: Any, vector: Any) -> Any:
    """1 / (1 + exp(-x)) of a vector of float32, with an error of about 1e-7."""
    return vector(vector), lambda context, builder, signature, values: _logistic(builder, values[0])


@intrinsic
def tangent(typing: Any, vector: Any) -> Any:
    """tanh x = 2 / (1 + exp(-2 x)) - 1 of a vector of float32, with an error of about 1e-7."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = values[0].type
        half = _logistic(builder, builder.fadd(values[0], values[0]))
        return builder.fsub(builder.fadd(half, half), _constant(kind, 1.0))

    return vector(vector), generate


def _logistic(builder: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)) of a vector of float32."""
    unit = _constant(x.type, 1.0)
    return builder.fdiv(unit, builder.fadd(unit, _exponential(builder, builder.fneg(x))))


def _exponential(builder: Any, x: Any) -> Any:
    """exp of a vector of float32: 2^n times a polynomial in x - n log 2, as in the Cephes library (Moshier, 1989)."""
    kind, whole = x.type, ir.VectorType(_INT32, x.type.count)
    x = _elementwise(builder, "llvm.maxnum", x, _constant(kind, -87.0))
    x = _elementwise(builder, "llvm.minnum", x, _constant(kind, 88.0))
    n = _elementwise(builder, "llvm.rint", builder.fmul(x, _constant(kind, 1.44269504)))
    x = _fma(builder, n, _constant(kind, -0.693359375), x)
    x = _fma(builder, n, _constant(kind, 2.12194440e-4), x)
    polynomial = _constant(kind, 1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1.0, 1.0):
        polynomial = _fma(builder, polynomial, x, _constant(kind, coefficient))
    power = builder.shl(builder.add(builder.fptosi(n, whole), _constant(whole, 127)), _constant(whole, 23))
    return builder.fmul(polynomial, builder.bitcast(power, kind))


def _constant(kind: Any, number: float) -> Any:
    """A vector whose numbers are all the same."""
    return ir.Constant(kind, [number] * kind.count)


def _fma(builder: Any, left: Any, right: Any, total: Any) -> Any:
    """left * right + total, rounded once."""
    return _elementwise(builder, "llvm.fma", left, right, total)


def _elementwise(builder: Any, name: str, *vectors: Any) -> Any:
    """A function of LLVM's that takes vectors of one type, and gives one."""
    kind = vectors[0].type
    function = ir.FunctionType(kind, [kind] * len(vectors))
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"{name}.{_suffix(kind)}"), vectors)


def _suffix(kind: Any) -> str:
    """The name of a vector type in the names of LLVM's functions, such as v8f32."""
    return f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
