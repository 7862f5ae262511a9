"""One way to write a CP model down, whichever start it came from."""

from __future__ import annotations

import torch

from polyadic.tensor.cp_tensor import CPTensor


def canonical(model: CPTensor) -> CPTensor:
    """The same tensor with falling weights, and a positive largest entry in every column but those of the last mode.

    Weights stay positive; the signs of a component multiply to one, so that the last mode has what is left.
    """
    order = model.weights.abs().argsort(descending=True, stable=True)
    factors, weights = [factor[:, order] for factor in model.factors], model.weights[order]
    sign = torch.where(weights < 0, -1.0, 1.0).to(factors[0].dtype)
    for mode, factor in enumerate(factors[:-1]):
        own = factor.gather(0, factor.abs().argmax(0, keepdim=True))[0].sign()
        own = torch.where(own == 0, 1, own)
        factors[mode], sign = factor * own, sign * own
    factors[-1] = factors[-1] * sign
    return CPTensor(weights.abs(), factors, model.relative_error, model.doubts)
