"""What a cp job may set, and how its settings fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import model_validator

from polyadic.decomposition.gcp.loss import Loss
from polyadic.decomposition.gcp.losses import LOSSES
from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option

if TYPE_CHECKING:
    LossName: TypeAlias = str
else:
    LossName = Literal[tuple(LOSSES)]

Method: TypeAlias = Literal["auto", "als", "nls", "sampled-als", "lbfgs", "adam"]


class Hyperparameters(hyper.Hyperparameters):
    """What a cp job may set."""

    renamed: ClassVar[Mapping[str, str]] = {"tol": "stop_tol"}

    rank: int | None = option("number of components", ge=1, tunable=(1, 64), none="auto")
    min_rank: int = option("least rank that rank=auto tries", 1, ge=1)
    max_rank: int = option("greatest rank that rank=auto tries", 8, ge=1)
    method: Method = option(
        "als: alternating least squares; nls: damped Gauss-Newton steps; sampled-als: als over columns sampled by "
        "leverage, for large sparse tensors; lbfgs and adam: any loss, with full or sampled gradients; auto: for "
        "gaussian the best of many starts on a small core of the tensor, or on its observed entries, finished by nls, "
        "or als where modes are fixed or init is given; for other losses lbfgs where it fits, else adam",
        "auto",
    )
    loss: LossName = option(
        "what is minimised: squares, or the loss of counts, of zeros and ones, of positive numbers, of outliers",
        "gaussian",
    )
    entries: Literal["zeros", "missing"] = option("what an absent entry of a sparse tensor is", "zeros")
    missing: Literal["error", "mask"] = option("what a NaN of a dense tensor is", "error")
    nonnegative: bool = option("keep every factor nonnegative (als, nls)", False)
    init: Literal["random", "svd", "model"] | None = option(
        "where a fit begins: at random, at the singular vectors of the unfoldings, at the model of channel model; "
        "auto: where method does",
        None,
        none="auto",
    )
    fixed_modes: list[int] = option("modes whose factors stay as they begin (als, nls)", [])
    huber_delta: float = option("residual from which loss=huber grows linearly", 1.0, gt=0)
    l2: float = option("ridge: times the squared weights of a tensor of norm 1, added to the squared error", 0.0, ge=0)
    max_iterations: int = option("sweeps over the modes, or epochs of adam, at most", 100, ge=1)
    stop_tol: float = option("stop when the fit changes by less in a sweep", 1e-6, ge=0)
    restarts: int | None = option(
        "starts, of which the best is kept; auto: until enough find the same where method=auto searches, else 1",
        None,
        ge=1,
        tunable=(1, 10),
        none="auto",
    )
    samples: int | None = option(
        "columns per mode of sampled-als (65536 where empty), entries per step of adam (4096)", None, ge=2
    )
    learning_rate: float = option("of adam, halved when an epoch fails", 1e-3, gt=0, tunable=(1e-4, 1e-1))
    seed: int = option("of random starts and samples", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    def method_for(self, *, every_entry: bool) -> Method:
        """The method that the job asks for, or that auto means.

        auto stays auto for gaussian; for other losses it is lbfgs where `every_entry` of the data can be visited, else
        adam.
        """
        if self.method != "auto" or self.loss == "gaussian":
            return self.method
        return "lbfgs" if every_entry else "adam"

    def loss_function(self) -> Loss:
        """The loss; its parameter p is the hyperparameter `<loss>_p`, if there is one, as in huber_delta."""
        kind, prefix = LOSSES[self.loss], self.loss.replace("-", "_")
        parameters = {field.name: getattr(self, f"{prefix}_{field.name}", field.default) for field in fields(kind)}
        return kind(**parameters)

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        method = self.method_for(every_entry=True)
        if self.loss != "gaussian" and method in ("als", "nls", "sampled-als"):
            raise ValueError(f"loss={self.loss} needs method lbfgs, adam or auto: {method} minimises squares")
        if self.nonnegative and method not in ("auto", "als", "nls"):
            raise ValueError(f"nonnegative: methods als and nls can do that, the method here is {method}")
        if self.fixed_modes and method not in ("auto", "als", "nls"):
            raise ValueError(f"fixed_modes: methods als and nls can do that, the method here is {method}")
        if method == "sampled-als" and (self.entries == "missing" or self.l2 or (self.restarts or 1) > 1):
            raise ValueError("sampled-als takes absent entries as zeros, l2 as 0 and restarts as 1: use method als")
        if self.rank is None and self.min_rank > self.max_rank:
            raise ValueError(f"min_rank is {self.min_rank}, max_rank {self.max_rank}: the first must not be larger")
        return self
