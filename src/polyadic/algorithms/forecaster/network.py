"""The untrained network of a forecaster."""

from __future__ import annotations

import torch

from polyadic.algorithms.forecaster.calendar import calendar_of
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters, cell_options
from polyadic.forecasting.cells import CELLS, Cell
from polyadic.forecasting.decoders import DECODERS
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.network import Network, Shape


def build(settings: Hyperparameters) -> Network:
    """The untrained network of hyperparameters without `auto`; its weights are a function of the seed."""
    kind, used = CELLS[settings.cell], settings.covariates
    options = cell_options(settings, kind)

    def cell(inputs: int) -> Cell:
        return kind.make(inputs, settings.num_cells, options)

    shape = Shape(
        context=settings.context_length,
        prediction=settings.prediction_length,
        cell=cell,
        layers=settings.num_layers,
        dropout=settings.dropout_rate,
        calendar=calendar_of(settings.calendar).num_features,
        dynamic=used.features or 0,
        cardinalities=used.cardinalities or (),
        embedding=settings.embedding_dimension,
        bf16=settings.precision == "bf16",
    )
    torch.manual_seed(settings.seed)
    return DECODERS[settings.decoder](shape, LIKELIHOODS[settings.likelihood])
