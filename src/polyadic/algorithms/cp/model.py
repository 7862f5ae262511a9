"""The model of a cp job: the tensor that its weights and factors stand for, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from polyadic.artifact import Artifact
from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import named
from polyadic.lowrank.model import Build, DecompositionModel
from polyadic.tensor.cp_tensor import CPTensor
from polyadic.tensor.numbered_names import in_order


@dataclass(frozen=True)
class Means:
    """The means of the data that a CP tensor stands for, under a loss with a link: probabilities, for log-odds."""

    tensor: CPTensor
    loss: Loss

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows of each mode."""
        return self.tensor.shape

    def at(self, index: Tensor) -> Tensor:
        """The means at B indices (B x N): B."""
        return self.loss.mean(self.tensor.at(index))

    def slice(self, index: Sequence[int | None]) -> Tensor:
        """The means where the modes that are None run over all of their rows."""
        return self.loss.mean(self.tensor.slice(index))

    def embed(self, mode: int, slabs: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings (B x R) and residuals (B) of a CP tensor, for B slabs of what the loss links to means."""
        return self.tensor.embed(mode, slabs)


def cp_tensor(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor:
    """The CP tensor of `weights` (R) and `factor_0`, `factor_1`, ... (I_n x R)."""
    return CPTensor(tensors["weights"], in_order("factor", tensors), relative_error)


def builder(loss: str) -> Build:
    """The function from the tensors of an artifact to the tensor that answers requests, for the name of a loss."""
    loss_function = named(loss)

    def build(tensors: Mapping[str, Tensor], relative_error: float) -> CPTensor | Means:
        tensor = cp_tensor(tensors, relative_error)
        return Means(tensor, loss_function) if loss_function.linked else tensor

    return build


def load(artifact: Artifact) -> DecompositionModel:
    """The model that was written down."""
    return DecompositionModel.load(artifact, builder(artifact.hyperparameters.get("loss", "gaussian")))
