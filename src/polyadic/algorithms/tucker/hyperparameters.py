"""What a tucker job may set, and how its settings fit together."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from polyadic.decomposition.tucker.fit import Method
from polyadic.decomposition.tucker.orthogonal import RangeFinder
from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option


class Hyperparameters(hyper.Hyperparameters):
    """What a tucker job may set: one of ranks and tol, and how."""

    ranks: list[int] | int | None = option("rows of the core, one number per mode or one for all (or give tol)", None)
    tol: float | None = option(
        "relative error to keep to; the ranks follow (or give ranks)", None, gt=0, lt=1, tunable=(1e-3, 0.5)
    )
    method: Method = option(
        "st-hosvd: one truncation per mode; hooi: sweeps on from there; nonnegative: no number under 0 in core and "
        "factors",
        "st-hosvd",
    )
    range_finder: RangeFinder = option(
        "where st-hosvd takes a mode's subspace from: its Gram matrix, a random sketch, or what is faster", "auto"
    )
    max_iterations: int = option("sweeps over the modes of hooi and nonnegative, at most", 100, ge=1)
    stop_tol: float = option("they stop when the fit changes by less in a sweep", 1e-6, ge=0)
    seed: int = option("of random sketches and nonnegative starts", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        if (self.ranks is None) == (self.tol is None):
            got = "neither is set" if self.ranks is None else "both are set"
            raise ValueError(
                "one of the hyperparameters ranks, such as [20, 20, 5], and tol, the relative error that the ranks "
                f"follow from, is needed: {got}"
            )
        if any(rank < 1 for rank in ([self.ranks] if isinstance(self.ranks, int) else self.ranks or ())):
            raise ValueError(f"hyperparameter ranks is {self.ranks}: each must be 1 or more, one number per mode")
        if self.tol is not None and (self.method == "nonnegative" or self.range_finder == "randomized"):
            which = "method=nonnegative" if self.method == "nonnegative" else "range_finder=randomized"
            raise ValueError(f"{which} cannot tell ranks from tol: set ranks, one number per mode, in its place")
        return self
