"""TensorLy, which only conversions to and from it need."""

from __future__ import annotations

from typing import Any

from polyadic.errors import UserError


def tensorly_module() -> Any:
    """The module `tensorly`.

    Raises UserError where it is not installed.
    """
    try:
        import tensorly
    except ImportError:
        raise UserError("TensorLy is not installed here: pip install tensorly") from None
    return tensorly
