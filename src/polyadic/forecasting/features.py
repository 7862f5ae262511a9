"""The mean and the deviation of dynamic features, by which a network standardises them.

Shapes: J dynamic features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.forecasting.network import Network
from polyadic.forecasting.pool import Pool

SMALLEST_DEVIATION = 1e-6
"""The smallest deviation of a feature, as a share of its mean: a smaller one is rounding."""


def standardise(network: Network, share: Pool, world: World, divided: bool) -> None:
    """Gives the network mean and deviation (J each) of the dynamic features over the training data of all ranks.

    divided: whether the ranks have different series. A collective.
    """

    def moments(mean_J: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = torch.from_numpy(share.moments(mean_J)).to(world.device)
        count, *rest = (world.sum_(sums) if divided else sums).cpu().numpy()
        scaled: NDArray[np.float64] = np.array(rest).reshape(2, -1) / max(count, 1)
        return scaled

    mean_J = moments(np.zeros(network.feature_mean_J.shape))[0]
    # Around the mean itself: the squares of a feature far from zero would leave no digit of its deviation.
    deviation_J = np.sqrt(moments(mean_J)[1])
    network.feature_mean_J.copy_(torch.from_numpy(mean_J))
    known = deviation_J > SMALLEST_DEVIATION * np.abs(mean_J)
    network.feature_deviation_J.copy_(torch.from_numpy(np.where(known, deviation_J, 1)))
