"""The autoregressive network: a decoder that is fed what it forecast, in many sample paths, as DeepAR has it.

Shapes as in network.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.network import Forecasts, Network, Shape, Stack, forecast_in_parts
from polyadic.forecasting.windows import Batch

BATCH_SEQUENCES = 8192
"""Sample paths, of all windows together, that are drawn together."""


class Autoregressive(Network):
    """p(y_t | y_{<t}, features_{<=t}), with phi y_{t-1} added to its location (Sutskever et al. 2014; DeepAR 2017).

    phi is learned and begins as 1, which is a random walk. It becomes about 0 where a value says nothing about the
    level of the next one.
    """

    def __init__(self, shape: Shape, likelihood: Likelihood) -> None:
        super().__init__(shape, likelihood)
        self.decoder = Stack(shape, shape.inputs)
        self.head = nn.Linear(self.decoder.hidden_size, likelihood.size)
        self.phi = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Batch) -> Tensor:
        """The weighted sum of the negative log-likelihoods of the horizon, each step fed the actual value before it."""
        previous = torch.cat([batch.past_BC[:, -1:], batch.future_BP[:, :-1]], 1)
        observed = torch.cat([batch.observed_BC[:, -1:], batch.weight_BP[:, :-1]], 1)
        inputs = self.inputs(batch, previous, observed, batch.past_BC.shape[1])
        hidden, _ = self.decoder(inputs, self.encode(batch))
        level, scale = batch.level_B[:, None], batch.scale_B[:, None]
        nll = self.likelihood.nll(self.raw(hidden, previous), batch.future_BP, level, scale)
        return (nll * batch.weight_BP).sum()

    def raw(self, hidden_BTH: Tensor, previous_BT: Tensor) -> Tensor:
        """The raw outputs of the likelihood, B x T x size, with phi times the value before added to the location."""
        raw: Tensor = self.head(hidden_BTH)
        return torch.cat([raw[..., :1] + self.phi * previous_BT[..., None], raw[..., 1:]], -1)

    def forecast(self, batch: Batch, paths: int, seed: int) -> Forecasts:
        """S = paths sample paths of each window (B x S x P), and their mean (B x P).

        Each window sees the same random numbers, so that its forecast does not depend on the other windows. The second
        half of the paths mirrors the first, which takes most of the noise out of the mean.
        """
        uniforms = _uniforms(paths, batch.future_BP.shape[1], seed).to(batch.past_BC.device)
        rows = max(1, BATCH_SEQUENCES // paths)
        return forecast_in_parts(lambda part: self._paths(part, *uniforms), batch, rows)

    @torch.inference_mode()
    def _paths(self, batch: Batch, u_SP: Tensor, v_SP: Tensor) -> Forecasts:
        paths, steps = u_SP.shape
        length = batch.past_BC.shape[1]
        states = [tuple(part.repeat_interleave(paths, 0) for part in state) for state in self.encode(batch)]
        many = Batch(**{name: value.repeat_interleave(paths, 0) for name, value in vars(batch).items()})
        previous, observed = many.past_BC[:, -1:], many.observed_BC[:, -1:]
        level, scale = many.level_B[:, None], many.scale_B[:, None]
        drawn = []
        for step in range(steps):
            hidden, states = self.decoder(self.inputs(many, previous, observed, length + step), states)
            u, v = (uniform[:, step].repeat(len(batch.past_BC))[:, None] for uniform in (u_SP, v_SP))
            previous = self.likelihood.sample(self.raw(hidden, previous), u, v, level, scale)
            observed = torch.ones_like(previous)
            drawn.append(previous)
        path = self.likelihood.restore(torch.cat(drawn, 1) * scale + level)
        samples_BSP = path.reshape(len(batch.past_BC), paths, steps).cpu().numpy()
        return Forecasts(samples_BSP.mean(1), samples_BSP)


def _uniforms(paths: int, steps: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    u, v = torch.rand(2, (paths + 1) // 2, steps, generator=random).clamp(1e-7, 1 - 1e-7)
    return torch.stack([torch.cat([u, u]), torch.cat([v, (v + 0.5) % 1])])[:, :paths]
