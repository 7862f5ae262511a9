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
        ),
        ChannelSpec("validation", "the same: rank, penalty or epoch are chosen by it", content_types(), False),
        ChannelSpec("test", "the same: samples to score the model by", content_types(), False),
    ),
    metrics=(
        Metric("train objective", about="mean loss and penalty after a sweep of als"),
        Metric("train loss", about="mean loss of an epoch of adam"),
        Metric("validation loss", about="the same of channel validation, after the epoch"),
        Metric("train samples_per_second", unit="speed", minimize=False),
        Metric("train BIC", "score", about="of a rank that rank=auto tries without channel validation"),
        Metric("train objective_loss", objective=True, about="mean loss of the model that is kept"),
        Metric("validation objective_loss", objective=True),
        Metric("test objective_loss", objective=True),
        Metric("test rmse", about="of regressor, as absolute_loss and r2; each also of train and validation"),
        Metric("test absolute_loss"),
        Metric("test r2", "score", minimize=False),
        Metric("test binary_classification_accuracy", "score", minimize=False, objective=True),
        Metric("test binary_f_beta", "score", minimize=False),
        Metric("test roc_auc_score", "score", minimize=False, objective=True),
        Metric("test multiclass_accuracy", "score", minimize=False, objective=True),
        Metric("test macro_f_beta", "score", minimize=False),
        Metric("validation binary_classification_accuracy", "score", minimize=False, objective=True),
        Metric("validation multiclass_accuracy", "score", minimize=False, objective=True),
        Metric("validation rmse", objective=True),
    ),
    fit=fit,
    load=load,
    report=write_model_report,
    tiny_job=TINY_JOB,
    guessed=True,
)
