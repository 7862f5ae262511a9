"""How the training of a forecaster begins: its model, which is new or of an earlier job, its windows, its cursor."""

from __future__ import annotations

from polyadic.algorithms.forecaster.calendar import resolve_calendar
from polyadic.algorithms.forecaster.covariates import refuse_unfit, resolve
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.memory import refuse_large, reserve_training
from polyadic.algorithms.forecaster.model import NAME, Model, load
from polyadic.algorithms.forecaster.network import build
from polyadic.errors import UserError
from polyadic.forecasting import linear_autoregression
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.draws import Draws
from polyadic.forecasting.features import standardise
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.pool import Pool, training_scale
from polyadic.forecasting.store import SeriesStore
from polyadic.forecasting.validation import Validation
from polyadic.forecasting.windows import Scale
from polyadic.jobs import epochs
from polyadic.jobs.earlier_model import read_earlier
from polyadic.jobs.job import Job
from polyadic.networks.progress import Cursor, Plan
from polyadic.networks.training import Training
from polyadic.readers.series.channel import read_seen, read_train


def prepare(job: Job[Hyperparameters]) -> tuple[Model, Training[Draws], Cursor]:
    """The model, its hyperparameters without `auto`; its training; and where that stands, at its start or resumed.

    Raises UserError for data and settings that do not fit together.
    """
    earlier = load(read_earlier(job.channels["model"], NAME)) if "model" in job.channels else None
    series = read_train(job, job.hyperparameters.time_freq, LIKELIHOODS[job.hyperparameters.likelihood])
    divided = job.channels["train"].divided
    model = _start(job, series) if earlier is None else _start_from(earlier, job, series)
    settings, network = model.settings, model.network.to(job.world.device)
    pool = _pool(model, series)
    _refuse_short(job, series, pool)
    if earlier is None:
        standardise(network, pool, job.world, divided)
        if isinstance(network, Direct):
            network.begin(linear_autoregression.fit(pool, job.world, divided, settings.linear_ridge))
    reserve_training(job, network, pool)
    draws = Draws(pool, settings.mini_batch_size, settings.seed, job.world, divided)
    training = Training(network, draws, _plan(settings), job.world, _validation(job, model))
    return model, training, epochs.begin(job, training)


def _plan(settings: Hyperparameters) -> Plan:
    return Plan(
        epochs=settings.epochs,
        batch_size=settings.mini_batch_size,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        patience=settings.early_stopping_patience,
        weight_decay=settings.weight_decay,
        gradient_clip=settings.gradient_clip,
    )


def _start(job: Job[Hyperparameters], series: SeriesStore) -> Model:
    """An untrained model."""
    settings, world = job.hyperparameters, job.world
    covariates = resolve(settings.cardinality, settings.num_dynamic_feat, series, world)
    resolved = covariates.written | {"calendar": resolve_calendar(settings.calendar, series, world)}
    settings = settings.model_copy(update=resolved)
    refuse_large(job, settings)
    fixed: Scale | None = None
    if settings.scaling != "context":
        level, size = training_scale(series, world, job.channels["train"].divided)
        fixed = (level if settings.scaling == "train" else None, size)
    return Model(settings=settings, network=build(settings), fixed=fixed, metrics={})


KEPT = ("time_freq", "decoder", "scaling", "cell", "num_cells", "num_layers", "likelihood", "embedding_dimension")
"""Hyperparameters that must be those of the earlier model; so must the options of its cell."""
LENGTHS = ("context_length", "prediction_length")
"""Hyperparameters that must be those of an earlier model with a direct decoder."""
RESOLVED = ("cardinality", "num_dynamic_feat", "calendar")
"""Hyperparameters that are those of the earlier model, where the job does not ask for others."""


def _start_from(earlier: Model, job: Job[Hyperparameters], series: SeriesStore) -> Model:
    """The earlier model, with its scaling and the covariates that it knows; UserError where it does not fit the job."""
    asked, before = job.hyperparameters, earlier.settings
    options = CELLS[before.cell].options.model_fields
    given = [name for name in RESOLVED if getattr(asked, name) != "auto"]
    for name in (*KEPT, *options, *(LENGTHS if before.decoder == "direct" else ()), *given):
        if getattr(asked, name) != getattr(before, name):
            raise UserError(
                f"{name} is {getattr(asked, name)}, but {getattr(before, name)} in the model of channel model: "
                "a training that goes on from a model needs its shape. Set it as there, or leave the channel out"
            )
    refuse_unfit(earlier.covariates, series, "train")
    settings = asked.model_copy(update={name: getattr(before, name) for name in RESOLVED})
    network = build(settings)
    network.load_state_dict(earlier.network.state_dict())
    job.note("going on from the model of channel model")
    return Model(settings=settings, network=network, fixed=earlier.fixed, metrics={})


def _pool(model: Model, series: SeriesStore) -> Pool:
    """The windows of series, as the model sees them."""
    settings, used = model.settings, model.covariates
    return Pool(
        series,
        model.calendar,
        settings.context_length,
        settings.prediction_length,
        len(used.cardinalities or ()),
        used.features or 0,
        model.fixed,
    )


def _validation(job: Job[Hyperparameters], model: Model) -> Validation | None:
    """The windows of channel validation; None where there is no such channel."""
    if "validation" not in job.channels:
        return None
    series = read_seen(job, "validation", model.frequency, model.likelihood)
    refuse_unfit(model.covariates, series, "validation")
    pool = _pool(model, series)
    if not job.world.any(len(pool) > 0):
        needed = pool.context + pool.prediction
        raise UserError(
            f"no series of channel validation has {needed} points, context_length + prediction_length (the longest has "
            f"{series.length_S.max(initial=0)}): give the points before those to validate on as well"
        )
    return Validation(pool, job.channels["validation"].divided)


def _refuse_short(job: Job[Hyperparameters], series: SeriesStore, pool: Pool) -> None:
    """Raises UserError where no rank has a window; prints a warning where a part of the series has none."""
    needed = pool.context + pool.prediction
    short = int((series.length_S < needed).sum())
    if not job.world.any(len(pool) > 0):
        raise UserError(
            f"no series of channel train is as long as context_length + prediction_length = {needed} points "
            f"(the longest series has {series.length_S.max(initial=0)}): "
            "lower one of the two, or give longer series"
        )
    if short:
        job.note(f"warning: {short} of {len(series)} series are shorter than {needed} points and are left out")
