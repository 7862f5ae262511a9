"""The direct network: a mean and quantiles for all steps of the horizon together, nothing fed back.

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
HEAD_SHARE = 0.1
"""What the first weights of the head are multiplied by: an untrained network should add little."""
CHUNK_NUMBERS = 2**20
"""Numbers that a forecast holds together for its quantiles."""


class Direct(Network):
    """The mean and the quantiles of y_t, t > C, given y_{<=C} and features_{<=t}: a decoder over what is known ahead.

    [past; 1] W is added to both (W is D x P): a linear autoregression (Lai et al. 2018, LSTNet) that begins as the last
    value, or as `begin` says, and is learned with the rest. The loss of a value is (y - mean)² / 2 + the mean over the
    levels of 2 · pinball(y, quantile) (Wen et al. 2017, MQ-RNN).
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
            self.head.weight.mul_(HEAD_SHARE)
            self.head.bias.zero_()[1:] = torch.special.ndtri(self.levels_Q) / 2

    @torch.no_grad()
    def begin(self, linear: LinearAutoregression) -> None:
        """Sets W to the weight (D x P) of a fitted autoregression."""
        self.linear_DP.copy_(linear.weight_DP)

    def forward(self, batch: Batch) -> Tensor:
        """The weighted sum of the losses of the horizon's values."""
        mean_BP, quantiles_BPQ = self.heads(batch)
        above = batch.future_BP[..., None] - quantiles_BPQ
        pinball = torch.maximum(self.levels_Q * above, (self.levels_Q - 1) * above).mean(-1)
        return ((0.5 * (batch.future_BP - mean_BP).square() + 2 * pinball) * batch.weight_BP).sum()

    def heads(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The means (B x P) and the quantiles (B x P x Q) of the horizon, in the scale of the windows."""
        steps = batch.future_BP.shape[1]
        last, observed = (values[:, -1:].expand(-1, steps) for values in (batch.past_BC, batch.observed_BC))
        known = self.inputs(batch, last, observed, batch.past_BC.shape[1])
        place = torch.linspace(0, 1, steps, device=known.device).expand(len(known), -1)
        hidden, _ = self.decoder(torch.cat([known, place[..., None]], -1), self.encode(batch))
        linear_BP = batch.past_BC @ self.linear_DP[:-1] + self.linear_DP[-1]
        heads = self.head(hidden) + linear_BP[..., None]
        return heads[..., 0], heads[..., 1:]

    def forecast(self, batch: Batch, paths: int, seed: int) -> Forecasts:
        """The means (B x P), and as path s of S the quantile of level (s + 1/2) / S of every step (B x S x P).

        So a path is no draw of the whole horizon. Quantiles between the levels of the network, and beyond them, are
        those of `interpolate`.
        """
        rows = max(1, CHUNK_NUMBERS // (batch.future_BP.shape[1] * (paths + len(LEVELS))))
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
    """Quantiles (... x S) of the levels `wanted`, from those (... x Q, rising) of other levels.

    They are linear in the quantiles of the normal distribution, also beyond the outermost levels.
    """
    known, wanted = (torch.special.ndtri(levels) for levels in (levels_Q, wanted_S))
    upper = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    share = (wanted - known[upper - 1]) / (known[upper] - known[upper - 1])
    below, above = quantiles_Q[..., upper - 1], quantiles_Q[..., upper]
    interpolated: Tensor = below + share * (above - below)
    return interpolated
