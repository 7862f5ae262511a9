"""tensor-regression: samples that are tensors, pictures, texts or several of these -> a number or a class."""

from polyadic.algorithms.tensor_regression.fit import fit
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.model import load
from polyadic.algorithms.tensor_regression.report import write_model_report
from polyadic.algorithms.tensor_regression.tiny import TINY_JOB
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import ChannelSpec
from polyadic.jobs.metrics import Metric
from polyadic.readers.samples.channel import content_types

__all__ = ["ALGORITHM", "Hyperparameters", "fit", "load"]

MEASURES: dict[str, dict[str, object]] = {
    "objective_loss": {"objective": True, "about": "mean loss of the model that is kept"},
    "rmse": {"objective": True, "about": "of regressor"},
    "absolute_loss": {"objective": True, "about": "of regressor: mean absolute error"},
    "r2": {"unit": "score", "minimize": False, "about": "of regressor"},
    "binary_classification_accuracy": {"unit": "score", "minimize": False, "objective": True},
    "binary_f_beta": {"unit": "score", "minimize": False, "objective": True, "about": "F1 of the second class"},
    "roc_auc_score": {"unit": "score", "minimize": False, "objective": True},
    "multiclass_accuracy": {"unit": "score", "minimize": False, "objective": True},
    "macro_f_beta": {"unit": "score", "minimize": False, "about": "mean F1 of the classes"},
}
"""What is printed of each channel once, at the end."""

ALGORITHM = Algorithm(
    name="tensor-regression",
    summary="a number or a class from a tensor, or from pictures, texts and numbers multiplied, by a low-rank weight",
    reads="arrays, tables, pictures, texts, RecordIO",
    answers="scores and labels, in Linear Learner's format",
    hyperparameters=Hyperparameters,
    channels=(
        ChannelSpec(
            "train",
            "samples with a `label`: tables (a row per sample; lists, texts, numbers, `file` for a picture in the "
            "channel), arrays along the first mode by name, or records with labels",
            content_types(),
            pipes=True,
        ),
        ChannelSpec("validation", "the same: rank, penalty or epoch are chosen by it", content_types(), False, True),
        ChannelSpec("test", "the same: samples to score the model by", content_types(), False, True),
    ),
    metrics=(
        Metric("train objective", about="mean loss and penalty after a sweep of als"),
        Metric("train loss", about="mean loss of an epoch of adam"),
        Metric("validation loss", about="the same of channel validation, after the epoch"),
        Metric("train samples_per_second", unit="speed", minimize=False),
        Metric("train BIC", "score", about="of a rank that rank=auto tries without channel validation"),
        *(
            Metric(f"{channel} {measure}", **told)  # type: ignore[arg-type]
            for measure, told in MEASURES.items()
            for channel in ("train", "validation", "test")
        ),
    ),
    fit=fit,
    load=load,
    report=write_model_report,
    tiny_job=TINY_JOB,
    guessed=True,
)
