"""A layer that gives each sample, a tensor, scores by a weight of low rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polyadic.errors import UserError, unknown
from polyadic.regression.given import ranks_given
from polyadic.regression.weights import WEIGHTS, Weight
from polyadic.tensor.arguments import real, shape_of, whole


class TensorRegression(nn.Module):
    """The tensor regression layer: y_bc = <W_c, x_b> + b_c with W in CP, Tucker or tensor-train form, never formed.

    shape: I_1 .. I_N of a sample. Input B x I_1 x ... x I_N, output B x C for C = `outputs`. rank: as the form has it.
    deviation: that of the entries of W when it is drawn; by default 1 / sqrt(ΠI), so that of inputs of deviation 1 the
    outputs have deviation 1. Each parameter of a form with F factors has the F-th root of that, divided among the terms
    of a sum of ΠR of them. Raises UserError for ranks that the shape does not allow.
    Kossaifi et al., Tensor regression networks, JMLR 21, 2020, sections 3.2 and 4.
    """

    def __init__(
        self,
        shape: Sequence[int],
        outputs: int,
        rank: int | Sequence[int],
        weight: str = "cp",
        *,
        deviation: float | None = None,
    ) -> None:
        super().__init__()
        if weight not in WEIGHTS:
            raise UserError(unknown("weight", weight, list(WEIGHTS)))
        self.form, self.shape = WEIGHTS[weight], shape_of(shape)
        if 0 in self.shape or not self.shape:
            raise UserError(f"shape is {list(self.shape)}: give the rows of one mode or more, 1 or more in each")
        outputs, shape = whole(outputs, "outputs", 1), self.shape
        ranks = self.form.ranks_of(ranks_given(rank), shape, outputs)
        wanted = 1 / math.sqrt(math.prod(shape)) if deviation is None else real(deviation, "deviation", 0)
        drawn = self.form.random(shape, ranks, outputs, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
        drawn.scale_(wanted * math.sqrt(math.prod(shape) * outputs / max(drawn.norm_squared(), 1e-300)))
        self.take(drawn.to(torch.device("cpu"), torch.get_default_dtype()), torch.zeros(outputs))

    def take(self, weight: Weight, bias_C: Tensor) -> None:
        """Makes the numbers of a weight and of intercepts the parameters."""
        self.tensors = nn.ParameterDict({name: nn.Parameter(value) for name, value in weight.tensors().items()})
        self.bias = nn.Parameter(bias_C)
        if weight.outputs == 1:  # It says nothing that the other parameters could not.
            self.tensors["outputs"].requires_grad_(False)

    @property
    def weight(self) -> Weight:
        """W, of the present parameters."""
        return self.form.of_tensors(dict(self.tensors.items()))

    def forward(self, x: Tensor) -> Tensor:
        """The samples contracted with the factors, then with the outputs'."""
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(
                f"samples have shape {tuple(x.shape)}: this layer takes B x {' x '.join(map(str, self.shape))}"
            )
        return self.weight.scores(x) + self.bias

    def reference(self, x: Tensor) -> Tensor:
        """The same by W itself."""
        return x.flatten(1) @ self.weight.full().flatten(0, -2) + self.bias
