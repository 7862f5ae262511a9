"""What memory a tensor-regression job needs: its samples, their contractions, what a batch leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyadic.algorithms.tensor_regression.batches import Data
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.network import Network, SampleLoss
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need, reserve
from polyadic.networks.memory import left_behind
from polyadic.regression.choice import COPIED_NUMBERS
from polyadic.regression.fit import LARGE_NUMBERS

WEIGHT_COPIES = 6
"""Weights, their gradients, two moments of AdamW, the best weights, and a copy on the way to a file."""
CONTRACTED_SHARE, CONTRACTED_LARGE_SHARE = 0.45, 0.25
"""Of the samples: those of half their resolution, or a quarter of it, and the largest contraction of a sweep."""
BATCH_COPIES = 2.0


def needs_of_als(train: Data, validation: Data | None, settings: Hyperparameters) -> Need:
    """The peak of a rank."""
    each = [data for data in (train, validation) if data is not None]
    held = 4.0 if settings.dtype == "float32" else 8.0
    numbers = sum(_numbers(data) for data in each)
    # Settled columns are the samples themselves; samples that are few are divided and made smooth in copies.
    copied = sum(_numbers(data) for data in each if not (data.inputs.settled and held == 4.0))
    small = numbers <= COPIED_NUMBERS or settings.smoothness
    divided = 2.0 * numbers if small else 0.0
    share = CONTRACTED_LARGE_SHARE if numbers > LARGE_NUMBERS else CONTRACTED_SHARE
    parts = {
        "columns": float(sum(data.inputs.nbytes for data in each)),
        "samples": held * (copied + divided),
        "contractions": held * share * numbers,
    }
    return Need(parts, "set vocabulary_size lower, or solver=adam")


def _numbers(data: Data) -> float:
    one = data.inputs.take(slice(0, min(1, len(data))))
    return float(sum(len(data) * part[:1].numel() for part in one))


def reserve_training(job: Job[Any], network: Network, train: Data, loss: str) -> None:
    """Says what the training needs, from what some samples leave for their backward pass; a collective."""
    summed = SampleLoss(network, loss, 0.0)
    most = min(len(train), -(-job.hyperparameters.mini_batch_size // job.world.size))
    step = left_behind(network, lambda count: summed(*train.take(np.arange(count), job.world.device)), most, len(train))
    weights = sum(weight.numel() * weight.element_size() for weight in network.parameters())
    parts = {
        "samples": float(train.inputs.nbytes),
        "weights": float(WEIGHT_COPIES * weights),
        "a batch": BATCH_COPIES * step,
    }
    reserve(job, Need(parts, "lower mini_batch_size, encoder_dimension or vocabulary_size"))
