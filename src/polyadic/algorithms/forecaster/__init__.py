"""forecaster: probabilistic forecasts of many time series by tensor-train LSTM cells; a drop-in for DeepAR."""

from polyadic.algorithms.forecaster.fit import fit
from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters
from polyadic.algorithms.forecaster.model import load, write_model_report
from polyadic.algorithms.forecaster.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.earlier_model import channel_spec
from polyadic.jobs.metrics import Metric
from polyadic.readers.series.formats import content_types

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

ALGORITHM = Algorithm(
    name="forecaster",
    summary="probabilistic forecasts of many time series by a tensor-train LSTM; a drop-in for DeepAR",
    reads="DeepAR's JSON Lines and Parquet, CSV",
    answers="mean, quantiles, sample paths, in DeepAR's format",
    hyperparameters=Hyperparameters,
    channels=(
        ChannelSpec(
            "train",
            "series: start, target, cat, dynamic_feat in JSON Lines (.json, .json.gz) or Parquet (.parquet); or CSV "
            "(.csv, .csv.gz), long (item_id,timestamp,target and features) or wide (timestamp and one column per "
            "series)",
            content_types(),
        ),
        ChannelSpec(
            "validation", "the same; every window of it is validated on after an epoch", content_types(), False
        ),
        ChannelSpec("test", "the same; the last prediction_length points are withheld", content_types(), False),
        channel_spec("forecaster", "whose weights the training begins with"),
    ),
    metrics=(
        Metric(
            "train loss",
            about="mean loss of a value: its negative log-likelihood (scaled, unless a count or between 0 and 1), or "
            "the direct decoder's squared and quantile errors",
        ),
        Metric("validation loss", about="the same of channel validation, after an epoch"),
        Metric("train windows_per_second", unit="speed", minimize=False),
        Metric(
            "train final_loss",
            objective=True,
            about="of the weights that are kept; channel validation's if there is one",
        ),
        Metric("test RMSE", objective=True),
        Metric("test mean_wQuantileLoss", objective=True),
        Metric("test seasonal_naive_RMSE"),
        Metric("test linear_autoregression_RMSE", about="of a least squares fit of each step to the context"),
        Metric("test seasonal_naive_mean_wQuantileLoss"),
    ),
    fit=fit,
    load=load,
    report=write_model_report,
    tiny_job=TINY_JOB,
    guessed=True,
)
