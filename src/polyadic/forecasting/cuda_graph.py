"""A network's loss and gradients as CUDA graphs: the hundreds of small kernels of a step are launched as one."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from polyadic.forecasting.network import Network
from polyadic.forecasting.windows import Batch


class Step(nn.Module):
    """The loss of a batch that is given as its tensors."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        """The network's loss."""
        loss: Tensor = self.network(Batch(*tensors))
        return loss


def step(network: Network, example: Batch, static: bool) -> nn.Module:
    """The step of a network that is in training; where its batches are `static`, on a GPU, captured once for all.

    Every later batch must have the shapes of the example. A step that can't be captured is run as it is, with a
    warning.
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
    """Says to torch that gradients of a captured step reach the weights from the stream of their capture on purpose."""
    if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
