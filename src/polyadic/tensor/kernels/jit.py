"""How every kernel of a CPU is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def jit(function: Callable[..., None]) -> Any:
    """The kernel that numba compiles at the function's first call, without the interpreter's lock.

    The machine code is kept on disk where numba finds a folder that it can write to; elsewhere each process compiles.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # numba found no such folder.
        return numba.njit(nogil=True, error_model="numpy")(function)


def jit_reordered(function: Callable[..., None]) -> Any:
    """The same of a kernel whose sums may be taken in any order, as vectors need; NaN and infinities stay."""
    loose: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}
    try:
        return numba.njit(cache=True, **loose)(function)
    except RuntimeError:  # numba found no folder to keep machine code in.
        return numba.njit(**loose)(function)


def within(function: Callable[..., None]) -> Any:
    """A function that kernels alone call: its call from Python is not compiled, which takes longer than the rest."""
    # The two wrappers are options that numba's type hints do not know.
    without: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(nogil=True, error_model="numpy", **without)(function)
