"""The loss and the gradients of a network as CUDA graphs, which launch the many small kernels of a step together."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from polyadic.forecasting.network import Network
from polyadic.forecasting.windows import Batch


class Step(nn.Module):
    """The loss of a batch that is given as its tensors, because CUDA graphs take nothing else."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        """The loss of the network, a scalar, for the tensors of a `Batch` in their order."""
        loss: Tensor = self.network(Batch(*tensors))
        return loss


def step(network: Network, example: Batch, static: bool) -> nn.Module:
    """The loss of a network in training as a module of the tensors of a batch; captured on a GPU if `static`.

    static: whether every later batch has the shapes of the example. A step that cannot be captured runs kernel by
    kernel, with a warning.
    """
    plain = Step(network)
    if not static or not example.past_BC.is_cuda:
        return plain
    try:
        _accumulate_across_streams()
        captured = torch.cuda.make_graphed_callables(plain, tuple(vars(example).values()))
    except RuntimeError as error:
        warnings.warn(f"no CUDA graph, every kernel is launched by itself: {str(error).splitlines()[0]}", stacklevel=2)
        return Step(network)
    assert isinstance(captured, nn.Module)
    return captured


def _accumulate_across_streams() -> None:
    """Tells torch that the gradients of a captured step come from the stream of the capture on purpose."""
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
