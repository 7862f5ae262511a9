"""Kernels that numba, LLVM and Triton compile, and what only they need: the bottom room of the house.

The kernels of a CPU, `cpu`, `columns`, `components`, `gauss_newton`, `observed`, `sweeps` and `tucker`, are imported at
their first use, since numba takes half a second.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyadic.tensor.kernels import columns, components, cpu, gauss_newton, observed, sweeps, tucker

__all__ = ["columns", "components", "cpu", "gauss_newton", "observed", "sweeps", "tucker"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
