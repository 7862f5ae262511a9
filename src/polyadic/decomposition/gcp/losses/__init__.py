"""The losses of the generalized CP decomposition: one per file, found by being there.

A file declares `LOSS`, a subclass of `Loss`. Each loss is the negative log-likelihood of a distribution up to terms
without the model, but for Huber's.
"""

from __future__ import annotations

from polyadic.decomposition.gcp.loss import Loss
from polyadic.errors import UserError, shorten, unknown
from polyadic.registry import Registry

LOSSES: Registry[type[Loss]] = Registry(__name__, "LOSS", Loss)
"""Every kind of loss by its name; LOSSES[name]() is a loss with the usual parameters."""


def named(loss: Loss | str) -> Loss:
    """The loss with a name, with its usual parameters; a loss stays as it is.

    Raises UserError where no loss has the name.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise UserError(f"loss is {shorten(loss)}: it must be a Loss, or the name of one: {', '.join(LOSSES)}")
    if loss not in LOSSES:
        raise UserError(unknown("loss", loss, list(LOSSES)))
    return LOSSES[loss]()
