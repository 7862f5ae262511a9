"""What a caller may give for a tensor, a mode, a number or an option, and what is made of it.

A value that means one thing is taken, whatever its type; every other is refused with what would be taken.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import UnionType
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.errors import UserError, shorten, unknown

P = ParamSpec("P")
R = TypeVar("R")
Dense: TypeAlias = Tensor | NDArray[Any] | Sequence[Any]
"""What a dense tensor may be given as: see `dense`."""
_OF_ANY_SIGN = ("mode", "seed")


def dense(value: Any, name: str = "tensor") -> Tensor:
    """A tensor of float32 or float64, from torch's tensor of any real type, an array, or nested lists of numbers.

    float32 and float64 keep their type, their device and, where that can be, their memory; half precision becomes
    float32, all else float64. The masked entries of a masked array become NaN.
    Raises UserError for complex numbers, text, objects, lists of unequal lengths, and layouts other than strided.
    """
    if not isinstance(value, Tensor) and hasattr(value, "to_dense"):
        raise UserError(f"{name} is {_kind(value)}, which is not taken here: give its .to_dense()")
    tensor = value if isinstance(value, Tensor) else _from_array(value, name)
    if tensor.is_complex():
        raise UserError(f"{name} holds complex numbers: give its real part, its imaginary part or its absolute values")
    if tensor.layout != torch.strided or tensor.is_quantized:
        kind = "is quantized" if tensor.is_quantized else f"has the layout {str(tensor.layout).removeprefix('torch.')}"
        raise UserError(f"{name} {kind}: give a polyadic.tensor.SparseTensor, or a tensor that holds every entry")
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    return tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)


def dense_list(values: Any, name: str) -> list[Tensor]:
    """Tensors as `dense` takes them; UserError for what is no list of them."""
    if isinstance(values, Tensor | np.ndarray) or not isinstance(values, Sequence) or isinstance(values, str):
        raise UserError(f"{name} are {_kind(values)}: give a list of arrays")
    return [dense(value, f"{name}[{number}]") for number, value in enumerate(values)]


def alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors in the type that holds all of them, on the device of the first."""
    widest = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    return [tensor.to(tensors[0].device, widest) for tensor in tensors]


def whole_numbers(values: Any, name: str) -> Tensor:
    """Whole numbers in a tensor of int64, from a tensor or an array of any type, or nested lists.

    Raises UserError where one is no whole number.
    """
    tensor = values if isinstance(values, Tensor) else _from_array(values, name, exact=True)
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise UserError(f"{name} are {_short(tensor.dtype)}: they must be whole numbers")
    if tensor.is_floating_point() and not bool((tensor == tensor.round()).all()):
        wrong = tensor[tensor != tensor.round()][0].item()
        raise UserError(f"{name} hold {wrong:g}: they must be whole numbers")
    return tensor.long()


def mode_of(mode: Any, order: int, name: str = "mode") -> int:
    """The number of a mode, from 0; a negative one counts from the end. UserError for a mode that does not exist."""
    number = whole(mode, name)
    if not -order <= number < order:
        raise UserError(f"{name} is {number}: the tensor has modes 0 to {order - 1}, or -{order} to -1 from its end")
    return number % order


def whole(value: Any, name: str, least: int | None = None) -> int:
    """A whole number of Python, numpy or torch, also one written as 2.0; UserError for all else, or under `least`."""
    number: int | None = None
    if isinstance(value, float | np.floating) and math.isfinite(value) and value == int(value):
        number = int(value)
    elif not isinstance(value, bool | np.bool_):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
    if number is None or (least is not None and number < least):
        raise UserError(
            f"{name} is {shorten(value)}: it must be a whole number{'' if least is None else f', {least} or more'}"
        )
    return number


def real(value: Any, name: str, least: float | None = None) -> float:
    """A finite number; UserError for all else, or under `least`."""
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number) or (least is not None and number < least):
        raise UserError(
            f"{name} is {shorten(value)}: it must be a finite number{'' if least is None else f', {least:g} or more'}"
        )
    return number


def shape_of(values: Any, name: str = "shape") -> tuple[int, ...]:
    """The rows of each mode; UserError where one is no whole number."""
    if not isinstance(values, Sequence | Tensor | np.ndarray) or isinstance(values, str):
        raise UserError(f"{name} is {_kind(values)}: give the rows of each mode, such as (30, 40, 50)")
    return tuple(whole(rows, f"{name}[{mode}]", 0) for mode, rows in enumerate(values))


def numbers_of(values: Any, count: int, name: str) -> list[int]:
    """So many whole numbers from 1, from one for all or from a list of them; UserError for all else."""
    if isinstance(values, Sequence | np.ndarray | Tensor) and not isinstance(values, str) and np.ndim(values):
        given = [whole(value, f"{name}[{place}]", 1) for place, value in enumerate(values)]
    else:
        given = [whole(values, name, 1)] * count
    if len(given) != count:
        raise UserError(
            f"{name} is {shorten(values)}: give one number, or a list of {count} for a tensor of this order"
        )
    return given


def checked(
    *,
    least: Mapping[str, float] | None = None,
    renamed: Mapping[str, str] | None = None,
    known: Mapping[str, Iterable[str]] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for a public function: its numbers, truth values and choices are checked by their annotations.

    int, float, bool and Literal arguments become such a value, or raise UserError; so does a keyword that the function
    does not have, with the nearest that it has, and a call with too few or too many arguments.
    least: of numbers, 1 for int and 0 for float unless stated here; `seed` and `mode` may be any. renamed: keywords
    that once had another name, which the error tells. known: the names that an argument may be, which the error tells
    where it is missing.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        names = [name for name, argument in signature.parameters.items() if argument.kind != argument.VAR_POSITIONAL]
        kinds: dict[str, Any] = {}

        @wraps(function)
        def call(*arguments: P.args, **keywords: P.kwargs) -> R:
            if not kinds:
                kinds.update(get_type_hints(function))
            for keyword in keywords:
                if keyword in (renamed or {}):
                    new = (renamed or {})[keyword]
                    raise UserError(
                        f"the argument {keyword} of {function.__name__} is called {new}: write "
                        f"{new}={shorten(keywords[keyword])}"
                    )
                if keyword not in names:
                    raise UserError(unknown(f"argument of {function.__name__}", keyword, names))
            try:
                bound = signature.bind(*arguments, **keywords)
            except TypeError:
                raise UserError(
                    _call_in_words(function.__name__, signature, arguments, keywords, known or {})
                ) from None
            for name, value in bound.arguments.items():
                if name in kinds:
                    bound.arguments[name] = _as(kinds[name], value, name, (least or {}).get(name))
            return function(*bound.args, **bound.kwargs)

        return call

    return decorate


def _call_in_words(
    name: str,
    signature: inspect.Signature,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    known: Mapping[str, Iterable[str]],
) -> str:
    """What to say of a call whose arguments are too many or too few."""
    placed = [each for each, argument in signature.parameters.items() if argument.kind != argument.KEYWORD_ONLY]
    if len(arguments) > len(placed):
        others = [each for each in signature.parameters if each not in placed]
        by_name = f", and by name {', '.join(others)}" if others else ""
        return (
            f"{name}() got {len(arguments)} arguments without a name: without one it takes {', '.join(placed)}{by_name}"
        )
    twice = [each for each in placed[: len(arguments)] if each in keywords]
    if twice:
        return f"{name}() got {twice[0]} twice, in its place and by name: give it once"
    required = [each for each, argument in signature.parameters.items() if argument.default is argument.empty]
    missing = [each for each in required if each not in keywords and each not in placed[: len(arguments)]]
    form = ", ".join(each if each in placed else f"{each}=..." for each in required)
    choices = [f"; {each} is one of {', '.join(known[each])}" for each in missing if each in known]
    return f"{name}() needs {', '.join(missing)} too: call it as {name}({form}){''.join(choices)}"


def _as(kind: Any, value: Any, name: str, least: float | None) -> Any:
    """A value as the annotation `kind` wants it; what is annotated otherwise is passed on."""
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if value is None and type(None) in choices:
        return value
    words = [word for choice in choices if get_origin(choice) is Literal for word in get_args(choice)]
    if isinstance(value, str) and words:
        if value not in words:
            raise UserError(unknown(name, value, words))
        return value
    others = [choice for choice in choices if choice is not type(None)]
    if words and not isinstance(value, tuple(choice for choice in others if isinstance(choice, type))):
        raise UserError(f"{name} is {_kind(value)}: it must be one of {', '.join(map(str, words))}")
    if others == [bool]:
        return _truth(value, name)
    if others == [int]:
        return whole(value, name, None if name in _OF_ANY_SIGN else int(1 if least is None else least))
    if others == [float]:
        return real(value, name, 0.0 if least is None else least)
    return value


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} is {shorten(value)}: it must be True or False")
    return bool(value)


def _from_array(value: Any, name: str, *, exact: bool = False) -> Tensor:
    """The tensor of an array or of nested lists; integers stay integers where they must be exact."""
    try:
        array = _array(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{name} is {_kind(value)} that makes no array: its lists must have equal lengths") from error
    if array.dtype.kind not in "biufc":
        held = type(array.flat[0]).__name__ if array.size else array.dtype.name
        raise UserError(f"{name} holds {held} values ({_kind(value)}): give numbers, and NaN for those not known")
    if array.dtype.kind in "iu" and exact:
        return torch.from_numpy(array.astype(np.int64))
    if array.dtype.kind == "c":
        return torch.zeros(0, dtype=torch.complex64)
    wanted = np.float32 if array.dtype in (np.dtype("float16"), np.dtype("float32")) else np.float64
    made = np.ascontiguousarray(array, dtype=wanted)
    # torch warns of memory that may not be written to.
    return torch.from_numpy(made if made.flags.writeable else made.copy()).reshape(array.shape)


def _array(value: Any) -> np.ndarray[Any, Any]:
    if np.ma.isMaskedArray(value):
        return np.ma.filled(value.astype(np.result_type(value.dtype, np.float32)), np.nan)
    if isinstance(value, list | tuple) and value and all(isinstance(part, Tensor) for part in value):
        return np.stack([part.detach().cpu().numpy() for part in value])
    return np.asarray(value)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[:1] in "aeiouAEIO" else f"a {name}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
