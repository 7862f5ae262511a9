"""What memory a tensor-regression job needs: its samples, their contractions, what a batch leaves behind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polyadic.algorithms.tensor_regression.batches import Data
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.network import Network, SampleLoss
from polyadic.jobs.job import Job
from polyadic.jobs.memory import Need, reserve
from polyadic.networks.memory import left_behind
from polyadic.regression.choice import COPIED_NUMBERS, HELD_SHARE, RANKS
from polyadic.regression.coarse import LONG, coarse_shape
from polyadic.regression.fit import LARGE_NUMBERS

WEIGHT_COPIES = 6
"""Weights, their gradients, two moments of AdamW, the best weights, and a copy on the way to a file."""
SAMPLE_NUMBERS, PIECE_NUMBERS = 20, 2**22
"""What als has of each sample beside its features, such as a label and a score, and of a piece of all samples."""
BATCH_COPIES = 2.0


def needs_of_als(train: Data, validation: Data | None, settings: Hyperparameters) -> Need:
    """The peak of a rank."""
    each = [data for data in (train, validation) if data is not None]
    held = 4.0 if settings.dtype == "float32" else 8.0
    numbers = sum(_numbers(data) for data in each)
    # Settled columns are the samples themselves; samples that are few are divided and made smooth in copies.
    copied = sum(_numbers(data) for data in each if not (data.inputs.settled and held == 4.0))
    small = numbers <= COPIED_NUMBERS or settings.smoothness or settings.edges
    divided = 2.0 * numbers if small else 0.0
    parts = {
        "columns": float(sum(data.inputs.nbytes for data in each)),
        "samples": held * (copied + divided),
        "contractions": held * (_contracted(train, settings) + PIECE_NUMBERS),
    }
    return Need(parts, "set vocabulary_size lower, or solver=adam")


def _contracted(data: Data, settings: Hyperparameters) -> float:
    """Numbers of coarser samples, of the largest contraction of a sweep, and of what there is of each sample."""
    parts = data.inputs.take(slice(0, min(1, len(data))))
    rank = max(RANKS) if settings.ranks is None else max(np.atleast_1d(settings.ranks))
    if len(parts) > 1:
        return float(len(data) * (len(parts) * rank + SAMPLE_NUMBERS))
    shape = tuple(parts[0].shape[1:])
    numbers = math.prod(shape)
    columns = rank if settings.weight == "cp" else rank ** (len(shape) - 1)
    kept = [max(math.prod(shape[:cut]), math.prod(shape[cut:])) for cut in range(1, len(shape))]
    # A search fits to a part of the samples, which may be too few to be made coarser twice.
    times = 2 if (1 - HELD_SHARE) * len(data) * numbers > LARGE_NUMBERS else 1
    coarser = math.prod(coarse_shape(shape, times)) if max(shape) >= LONG else 0
    return float(len(data) * (coarser + min(numbers, columns * min(kept, default=0)) + SAMPLE_NUMBERS))


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
