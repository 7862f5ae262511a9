"""What memory a forecaster job needs: weights and what the optimizer keeps of them, and what a batch leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.network import build
from polyadic.forecasting.pool import Pool
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need, refuse_beyond, reserve
from polyadic.networks.memory import left_behind

WEIGHT_COPIES = 6
"""Weights, their gradients, two moments of AdamW, the best weights, and a copy on the way to a file."""
KNOB = "lower num_cells, mini_batch_size, context_length or embedding_dimension"


def refuse_large(job: Job[Any], settings: Hyperparameters) -> None:
    """UserError where the weights alone are too many; a collective. They are counted without being made."""
    with torch.device("meta"):
        single, double = (_weights(build(settings.model_copy(update={"num_layers": layers}))) for layers in (1, 2))
    refuse_beyond(job, Need({"weights": single + (settings.num_layers - 1) * (double - single)}, KNOB))


def reserve_training(job: Job[Any], network: nn.Module, pool: Pool) -> None:
    """Says what the training needs, from what some windows leave for their backward pass; a collective."""
    world, size = job.world, job.hyperparameters.mini_batch_size
    windows = min(-(-size // (1 if job.channels["train"].divided else world.size)), len(pool))
    step = left_behind(network, lambda count: network(pool.take(np.arange(count)).to(world.device)), windows, len(pool))
    copies = STEP_COPIES.get(job.hyperparameters.cell, OTHER_STEP_COPIES)
    reserve(job, Need({"weights": _weights(network), "a batch": copies * step}, KNOB))


STEP_COPIES = {"lstm": 0.6, "tt-compressed-lstm": 0.9}
"""The memory that a step was measured to take, in units of what it keeps for its backward pass. Why these take
less than they keep was not found."""
OTHER_STEP_COPIES = 2.0
"""Of tt-lstm, tt-rnn and mlstm, whose peaks were within a fifth of what it says."""


def _weights(network: nn.Module) -> float:
    return WEIGHT_COPIES * float(sum(weight.numel() * weight.element_size() for weight in network.parameters()))
