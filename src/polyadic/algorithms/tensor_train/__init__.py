"""tensor-train: a chain of small cores, of given ranks or within a relative error; completion of missing entries."""

from polyadic.algorithms.tensor_train.fit import fit
from polyadic.algorithms.tensor_train.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_train.model import load
from polyadic.algorithms.tensor_train.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.metrics import Metric
from polyadic.readers.tensor import tensor_channel
from polyadic.reports.decomposition import write_report

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

ALGORITHM = Algorithm(
    name="tensor-train",
    summary="tensor train of a tensor: TT-SVD by ranks or by tolerance, TT-cross, completion of missing entries",
    reads="arrays, images, coordinates",
    answers="entries, slices, rankings, embeddings",
    hyperparameters=Hyperparameters,
    channels=(tensor_channel("train"),),
    metrics=(
        Metric(
            "train relative_error",
            about="|X - Y| / |X|: of completion over the observed entries, of cross over a sample of entries",
        ),
        Metric("train seconds_per_sweep", unit="seconds"),
        Metric("train final_relative_error", objective=True, about="of the model that is kept"),
    ),
    fit=fit,
    load=load,
    report=write_report,
    tiny_job=TINY_JOB,
)
