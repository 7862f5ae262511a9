"""The training of a network by gradients, from a job's samples to the weights that are kept.

Shapes: B samples of this rank.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from polyadic.algorithms.tensor_regression.batches import Data, Held, Shuffled
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.inputs import Modalities
from polyadic.algorithms.tensor_regression.memory import reserve_training
from polyadic.algorithms.tensor_regression.network import Network
from polyadic.jobs import epochs
from polyadic.jobs.job import Job
from polyadic.networks.progress import Cursor, Plan
from polyadic.networks.training import Training

USUAL_DECAY = 1e-4


def descend(
    job: Job[Hyperparameters], modalities: Modalities, outputs: int, train: Data, validation: Data | None
) -> tuple[Network, Cursor, bool]:
    """The network, its weights those that are kept; where its training ended; whether it came to its end."""
    settings, world = job.hyperparameters, job.world
    torch.manual_seed(settings.seed)
    network = Network(settings, modalities, outputs).to(world.device)
    reserve_training(job, network, train, settings.loss_name)
    batches = Shuffled(
        train, _blank(modalities), settings.mini_batch_size, settings.seed, world, settings.loss_name, settings.l1
    )
    held = None if validation is None else Held(validation, settings.loss_name)
    training = Training(network, batches, _plan(settings), world, held)
    count = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    job.note(
        f"tensor-regression: {count:,} parameters, {batches.count:,} samples, {batches.steps} steps of "
        f"{settings.mini_batch_size} an epoch, {world}"
    )
    if settings.precision == "bf16" and world.device.type == "cpu":
        job.note("warning: precision is bf16, but a CPU computes in float32")
    cursor = epochs.begin(job, training)
    finished = epochs.run(job, training, cursor, "samples")
    if math.isfinite(cursor.final_loss):
        job.note(f"tensor-regression: the weights of epoch {cursor.best_epoch if cursor.best else cursor.epoch - 1}")
    return network.eval(), cursor, finished


def _plan(settings: Hyperparameters) -> Plan:
    return Plan(
        epochs=settings.epochs,
        batch_size=settings.mini_batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        patience=settings.early_stopping_patience,
        weight_decay=USUAL_DECAY if settings.wd is None else settings.wd,
    )


def _blank(modalities: Modalities) -> Data:
    """A sample that counts for nothing."""
    cells = modalities.parse({modality.name: modality.example() for modality in modalities.each})
    return Data(modalities.of_cells([cells]), np.zeros(1, np.float32), np.zeros(1, np.float32))
