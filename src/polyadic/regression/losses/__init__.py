"""The losses of a regression: one per file, found by being there. A file declares `LOSS`, a subclass of `Loss`."""

from __future__ import annotations

from polyadic.errors import UserError, unknown
from polyadic.registry import Registry
from polyadic.regression.losses._loss import Loss

__all__ = ["LOSSES", "Loss", "named"]

LOSSES: Registry[type[Loss]] = Registry(__name__, "LOSS", Loss)
"""Every kind of loss by its name."""


def named(name: str) -> Loss:
    """The loss with a name; UserError where no loss has it."""
    if name not in LOSSES:
        raise UserError(unknown("loss", name, list(LOSSES)))
    return LOSSES[name]()
