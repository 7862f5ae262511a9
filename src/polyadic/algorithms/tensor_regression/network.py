"""The network that gradients train: an encoder for each modality, and a low-rank weight over what they make.

Shapes: B samples, C scores, M modalities.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.inputs import Modalities
from polyadic.regression import Fusion, TensorRegression
from polyadic.regression.losses import named
from polyadic.regression.weights.cp import CP

USUAL_RANK = 8
"""Of rank=auto."""


class Network(nn.Module):
    """Scores in the units of training: of one modality by a tensor regression layer, of several by a fusion.

    Forward takes the numbers of each modality and which of them a sample has (B x M), and gives B x C.
    """

    def __init__(self, settings: Hyperparameters, modalities: Modalities, outputs: int) -> None:
        super().__init__()
        alone, rank = len(modalities.each) == 1, settings.ranks or USUAL_RANK
        self.bf16 = settings.precision == "bf16"
        made = [modality.encoder.network(alone) for modality in modalities.each]
        self.encoders = nn.ModuleList(encoder for encoder, _ in made)
        self.head: TensorRegression | Fusion
        if alone:
            settings.refuse_rank(made[0][1], outputs)
            self.head = TensorRegression(made[0][1], outputs, rank, settings.weight)
        else:
            sizes = [shape[0] for _, shape in made]
            self.head = Fusion(sizes, outputs, _one(rank), settings.fusion, projection=settings.projection)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Every modality through its encoder, then all through the weight; one that is missing counts as zeros."""
        with torch.autocast("cuda", torch.bfloat16, enabled=self.bf16 and inputs[-1].is_cuda):
            scores: Tensor = self.head(*self._vectors(*inputs))
        return scores.float()

    def _vectors(self, *inputs: Tensor) -> list[Tensor]:
        """What the encoders make of the modalities; of one alone a tensor."""
        *parts, present_BM = inputs
        encoded = [encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)]
        if len(encoded) == 1:
            return encoded
        return [vector * present_BM[:, place, None] for place, vector in enumerate(encoded)]

    @torch.no_grad()
    def scores(self, *inputs: Tensor) -> Tensor:
        """The same, for a model that answers."""
        scores: Tensor = self(*inputs)
        return scores

    @torch.no_grad()
    def shares(self, *inputs: Tensor) -> Tensor | None:
        """What each component adds to each score, B x C x R; None where the scores are no sum over components."""
        vectors = self._vectors(*inputs)
        if isinstance(self.head, Fusion):
            return self.head.components(*vectors).movedim(1, 2) if self.head.kind == "lmf" else None
        weight = self.head.weight
        return weight.components(vectors[0])[:, None, :] * weight.outputs_CR if isinstance(weight, CP) else None

    @property
    def intercept(self) -> Tensor:
        """What is added to the components of a score: C."""
        name = "last.bias" if isinstance(self.head, Fusion) and self.head.kind != "lmf" else "bias"
        bias: Tensor = self.head.get_parameter(name)
        return bias

    def by_decay(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights that never decay, which are vectors, and all others."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        return [weight for weight in weights if weight.ndim < 2], [weight for weight in weights if weight.ndim > 1]


class SampleLoss(nn.Module):
    """The loss of a batch, summed by its samples' weights, with a penalty l1 on the network's absolute values."""

    def __init__(self, network: Network, loss: str, l1: float) -> None:
        super().__init__()
        self.network, self._loss, self._l1 = network, named(loss), l1

    def forward(self, *tensors: Tensor) -> Tensor:
        """tensors: the inputs of the network, then labels and weights (B each)."""
        *inputs, label_B, weight_B = tensors
        loss = (self._loss.value(self.network(*inputs), label_B) * weight_B).sum()
        if self._l1:
            loss = loss + self._l1 * weight_B.sum() * sum(part.abs().sum() for part in self.network.by_decay()[1])
        return loss


def _one(rank: int | list[int]) -> int:
    return rank if isinstance(rank, int) else rank[0]
