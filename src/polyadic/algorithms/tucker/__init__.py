"""tucker: a small core and a factor per mode, of given ranks or within a relative error."""

from polyadic.algorithms.tucker.fit import fit
from polyadic.algorithms.tucker.hyperparameters import Hyperparameters
from polyadic.algorithms.tucker.model import load
from polyadic.algorithms.tucker.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.metrics import Metric
from polyadic.readers.tensor import tensor_channel
from polyadic.reports.decomposition import write_report

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

ALGORITHM = Algorithm(
    name="tucker",
    summary="Tucker decomposition of a tensor: ST-HOSVD, HOOI or nonnegative, by ranks or by tolerance",
    reads="arrays, images, coordinates",
    answers="entries, slices, rankings, embeddings",
    hyperparameters=Hyperparameters,
    channels=(tensor_channel("train"),),
    metrics=(
        Metric("train relative_error", about="|X - Y| / |X|, of hooi and nonnegative after a sweep"),
        Metric("train seconds_per_sweep", unit="seconds"),
        Metric("train final_relative_error", objective=True, about="of the model that is kept"),
    ),
    fit=fit,
    load=load,
    report=write_report,
    tiny_job=TINY_JOB,
)
