"""The direct network: all steps of the horizon at once, a mean and quantiles each, nothing fed back.

Shapes as in network.py; Q quantiles, D = C + 1 coefficients of a linear autoregression.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polyadic.forecasting.likelihoods import Likelihood
from polyadic.forecasting.linear_autoregression import LinearAutoregression
from polyadic.forecasting.network import Forecasts, Network, Shape, Stack, forecast_in_parts
from polyadic.forecasting.windows import Batch

LEVELS = (0.005, 0.025, *(step / 20 for step in range(1, 20)), 0.975, 0.995)
SMALL = 0.1
"""Of the head's first weights: a network that knows nothing yet should say little."""
AT_ONCE = 2**20
"""Numbers that a forecast holds for its quantiles at a time."""


class Direct(Network):
    """The mean and the quantiles of y_{t}, t > C, given y_{<=C}, features_{<=t}: a decoder over what is known ahead.

    Both are counted from [past; 1] W, a linear autoregression (Lai et al. 2018, LSTNet) that begins as the last value,
    or as `begin` says, and is learned with the rest. The loss of a value is (y - mean)² / 2 + the mean over the levels
    of 2 · pinball(y, quantile) (Wen et al. 2017, MQ-RNN).
    """

    solved = ("linear_DP",)
    levels_Q: Tensor

    def __init__(self, shape: Shape, likelihood: Likelihood) -> None:
        super().__init__(shape, likelihood)
        self.decoder = Stack(shape, shape.inputs + 1)
        self.head = nn.Linear(self.decoder.hidden_size, 1 + len(LEVELS))
        self.linear_DP = nn.Parameter(torch.zeros(shape.context + 1, shape.prediction))
        self.register_buffer("levels_Q", torch.tensor(LEVELS), persistent=False)
        with torch.no_grad():
            self.linear_DP[-2] = 1
            self.head.weight.mul_(SMALL)
            self.head.bias.zero_()[1:] = torch.special.ndtri(self.levels_Q) / 2

    @torch.no_grad()
    def begin(self, linear: LinearAutoregression) -> None:
        """Counts from this autoregression at first."""
        self.linear_DP.copy_(linear.weight_DP)

    def forward(self, batch: Batch) -> Tensor:
        """The weighted sum of the losses of the horizon's values."""
        mean_BP, quantiles_BPQ = self.heads(batch)
        above = batch.future_BP[..., None] - quantiles_BPQ
        pinball = torch.maximum(self.levels_Q * above, (self.levels_Q - 1) * above).mean(-1)
        return ((0.5 * (batch.future_BP - mean_BP).square() + 2 * pinball) * batch.weight_BP).sum()

    def heads(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The means and the quantiles (B x P x Q), in the windows' scale."""
        steps = batch.future_BP.shape[1]
        last, observed = (one[:, -1:].expand(-1, steps) for one in (batch.past_BC, batch.observed_BC))
        known = self.inputs(batch, last, observed, batch.past_BC.shape[1])
        place = torch.linspace(0, 1, steps, device=known.device).expand(len(known), -1)
        hidden, _ = self.decoder(torch.cat([known, place[..., None]], -1), self.encode(batch))
        linear_BP = batch.past_BC @ self.linear_DP[:-1] + self.linear_DP[-1]
        found = self.head(hidden) + linear_BP[..., None]
        return found[..., 0], found[..., 1:]

    def forecast(self, batch: Batch, paths: int, seed: int) -> Forecasts:
        """The means, and as path s of S the quantile at (s + 1/2) / S of every step: no path is a draw of the whole.

        Between the levels a quantile is interpolated over the normal's, beyond them it goes on as the last two do.
        """
        rows = max(1, AT_ONCE // (batch.future_BP.shape[1] * (paths + len(LEVELS))))
        return forecast_in_parts(lambda part: self._part(part, paths), batch, rows)

    @torch.inference_mode()
    def _part(self, batch: Batch, paths: int) -> Forecasts:
        mean_BP, quantiles_BPQ = self.heads(batch)
        level, scale = batch.level_B[:, None], batch.scale_B[:, None]
        levels = (torch.arange(paths, device=mean_BP.device) + 0.5) / paths
        samples_BPS = interpolate(quantiles_BPQ.sort(-1).values, self.levels_Q, levels)
        samples_BSP = self.likelihood.restore(samples_BPS * scale[..., None] + level[..., None]).transpose(1, 2)
        mean = self.likelihood.restore_mean(mean_BP * scale + level, samples_BSP)
        return Forecasts(mean.cpu().numpy(), samples_BSP.contiguous().cpu().numpy())


def interpolate(quantiles_Q: Tensor, levels_Q: Tensor, wanted_S: Tensor) -> Tensor:
    """Quantiles (... x Q, rising) of levels -> those of other levels (... x S): linear over the normal's quantiles."""
    known, wanted = (torch.special.ndtri(levels) for levels in (levels_Q, wanted_S))
    upper = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    share = (wanted - known[upper - 1]) / (known[upper] - known[upper - 1])
    below, above = quantiles_Q[..., upper - 1], quantiles_Q[..., upper]
    found: Tensor = below + share * (above - below)
    return found
