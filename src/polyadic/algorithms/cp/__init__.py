"""cp: the canonical polyadic decomposition of a dense or sparse tensor."""

from polyadic.algorithms.cp.fit import fit
from polyadic.algorithms.cp.hyperparameters import Hyperparameters
from polyadic.algorithms.cp.model import load
from polyadic.algorithms.cp.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.earlier_model import channel_spec
from polyadic.jobs.metrics import Metric
from polyadic.readers.tensor import tensor_channel
from polyadic.reports.decomposition import write_report

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

ALGORITHM = Algorithm(
    name="cp",
    summary="canonical polyadic decomposition of a dense or sparse tensor",
    reads="arrays, images, coordinates",
    answers="entries, slices, rankings, embeddings",
    hyperparameters=Hyperparameters,
    channels=(tensor_channel("train"), channel_spec("cp", "for init=model")),
    metrics=(
        Metric("train relative_error", about="|X - Y| / |X| over the observed entries, after a sweep"),
        Metric("train seconds_per_sweep", unit="seconds"),
        Metric("train loss", about="mean loss per entry, of lbfgs and adam"),
        Metric("train core_consistency", unit="percent", minimize=False, about="of each rank that rank=auto tries"),
        Metric(
            "train split_half", unit="congruence", minimize=False, about="of two halves' components, of each such rank"
        ),
        Metric("train final_relative_error", objective=True, about="of the model that is kept"),
    ),
    fit=fit,
    load=load,
    report=write_report,
    tiny_job=TINY_JOB,
    guessed=True,
)
