"""A step as a CUDA graph is the step itself."""

from __future__ import annotations

import pytest
import torch

from polyadic.forecasting import cuda_graph
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.windows import Batch
from tests.helpers.waves import network, windows

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def gradients(cell: str, decoder: str, batch: Batch, example: Batch, static: bool) -> list[torch.Tensor]:
    """The loss of a batch and the gradients of all weights."""
    net = network(cell, decoder=decoder).to(batch.past_BC.device).train()
    loss = cuda_graph.step(net, example, static)(*vars(batch).values())
    torch.autograd.backward(loss)
    return [loss.detach(), *(weight.grad for weight in net.parameters())]


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_on_a_cpu_the_step_is_the_networks_own(decoder: str) -> None:
    batch, net = windows(5), network(decoder=decoder).train()
    for static in (False, True):
        assert torch.equal(cuda_graph.step(net, batch, static)(*vars(batch).values()), net(batch))


@needs_gpu
@pytest.mark.parametrize("decoder", sorted(DECODERS))
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_a_captured_step_is_the_step_itself(cell: str, decoder: str) -> None:
    device = torch.device("cuda")
    example, batch = windows(6).to(device), windows(6, "gaussian").to(device)
    captured, plain = (gradients(cell, decoder, batch, example, static) for static in (True, False))
    for one, other in zip(captured, plain, strict=True):
        torch.testing.assert_close(one, other)
