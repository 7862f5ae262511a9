"""What a forecaster's training begins with: its model, new or of an earlier job, its windows, its place."""

from __future__ import annotations

from polyadic.algorithms.forecaster.calendar import resolve_calendar
from polyadic.algorithms.forecaster.covariates import refuse_unfit, resolve
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.model import NAME, Model, build, load
from polyadic.algorithms.forecaster.requests import refuse_quantiles
from polyadic.errors import UserError
from polyadic.forecasting import linear_autoregression
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.direct import Direct
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.store import SeriesStore
from polyadic.forecasting.training import Cursor, Plan, Training, standardise
from polyadic.forecasting.validation import Validation
from polyadic.forecasting.windows import Pool, Scale, training_scale
from polyadic.jobs.earlier_model import read_earlier
from polyadic.jobs.job import Job
from polyadic.readers.series.channel import read_seen, read_train


def prepare(job: Job[Hyperparameters]) -> tuple[Model, Training, Cursor]:
    """The model with all that `auto` stands for found, its training, and where that stands."""
    refuse_quantiles(job.hyperparameters.test_quantiles, "test_quantiles")
    frequency = Frequency.parse(job.hyperparameters.time_freq)
    earlier = load(read_earlier(job.channels["model"], NAME)) if "model" in job.channels else None
    series = read_train(job, frequency, LIKELIHOODS[job.hyperparameters.likelihood])
    divided = job.channels["train"].divided
    model = _start(job, series) if earlier is None else _go_on(job, series, earlier)
    settings, network = model.settings, model.network.to(job.world.device)
    pool = _pool(model, series)
    _refuse_short(job, series, pool)
    if earlier is None:
        standardise(network, pool, job.world, divided)
        if isinstance(network, Direct):
            network.begin(linear_autoregression.fit(pool, job.world, divided, settings.linear_ridge))
    plan = Plan(
        settings.epochs,
        settings.mini_batch_size,
        settings.learning_rate,
        settings.seed,
        settings.early_stopping_patience,
        settings.weight_decay,
        settings.gradient_clip,
    )
    training = Training(network, pool, plan, job.world, divided, _validation(job, model))
    snapshot = job.world.from_first(job.checkpoints.latest() if job.world.rank == 0 else None)
    if snapshot is None:
        return model, training, Cursor()
    cursor = training.restore(dict(snapshot.tensors), dict(snapshot.numbers))
    job.note(f"resuming from the checkpoint of epoch {cursor.epoch}, step {cursor.step}")
    return model, training, cursor


def _start(job: Job[Hyperparameters], series: SeriesStore) -> Model:
    """An untrained model."""
    settings, world = job.hyperparameters, job.world
    used = resolve(settings.cardinality, settings.num_dynamic_feat, series, world)
    found = used.written | {"calendar": resolve_calendar(settings.calendar, series, world)}
    settings = settings.model_copy(update=found)
    fixed: Scale | None = None
    if settings.scaling != "context":
        level, size = training_scale(series, world, job.channels["train"].divided)
        fixed = (level if settings.scaling == "train" else None, size)
    return Model(settings, build(settings), fixed, {})


SHAPES = (
    *("time_freq", "decoder", "scaling", "cell", "tt_lags", "tt_order", "tt_rank", "tt_output", "tt_input"),
    *("tt_linear", "num_cells", "num_layers", "likelihood", "embedding_dimension"),
)
"""The hyperparameters that must be those of the earlier model; a direct decoder's lengths too."""


def _go_on(job: Job[Hyperparameters], series: SeriesStore, earlier: Model) -> Model:
    """The earlier model, with its scaling and the covariates that it knows; UserError where it does not fit the job."""
    asked, had = job.hyperparameters, earlier.settings
    names = [*SHAPES, *(["context_length", "prediction_length"] if had.decoder == "direct" else [])]
    autos = [name for name in ("cardinality", "num_dynamic_feat", "calendar") if getattr(asked, name) != "auto"]
    for name in (*names, *autos):
        if getattr(asked, name) != getattr(had, name):
            raise UserError(
                f"{name} is {getattr(asked, name)}, but {getattr(had, name)} in the model of channel model: "
                "a training that goes on from a model needs its shape. Set it as there, or leave the channel out"
            )
    refuse_unfit(earlier.covariates, series, "train")
    kept = {name: getattr(had, name) for name in ("cardinality", "num_dynamic_feat", "calendar")}
    settings = asked.model_copy(update=kept)
    network = build(settings)
    network.load_state_dict(earlier.network.state_dict())
    job.note("going on from the model of channel model")
    return Model(settings, network, earlier.fixed, {})


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
    """What channel validation holds; None without one."""
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
    """UserError where no rank has a window; a line for people where some series have none."""
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
