"""Tensor methods as a SageMaker container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from polyadic.trained import Trained

__all__ = ["load"]


def load(model: str | Path) -> Trained:
    """The model of a model.tar.gz, or of a folder that holds one or its files, with its answers and its tensors.

    Raises polyadic.errors.UserError for what is no model.
    """
    from polyadic import trained  # Here, so that `import polyadic` is no work.

    return trained.load(model)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("polyadic")
    raise AttributeError(f"module 'polyadic' has no attribute {name!r}")
