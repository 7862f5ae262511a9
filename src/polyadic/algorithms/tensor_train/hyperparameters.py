"""What a tensor-train job may set, and how its settings fit together."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import model_validator

from polyadic.jobs import hyperparameters as hyper
from polyadic.options import option

Method: TypeAlias = Literal["svd", "cross", "completion"]

NEEDS_RANK = "method completion needs max_rank, such as 5: no ranks follow from the tol of entries that are missing"


class Hyperparameters(hyper.Hyperparameters):
    """What a tensor-train job may set: max_rank, tol or both, and how."""

    max_rank: int | None = option(
        "the ranks between neighbouring modes, at most (or give tol)", None, ge=1, tunable=(1, 64)
    )
    tol: float | None = option(
        "relative error to keep to; the ranks follow (or give max_rank)", None, gt=0, lt=1, tunable=(1e-3, 0.5)
    )
    method: Literal["auto", "svd", "cross", "completion"] = option(
        "svd: truncated singular value decompositions; cross: interpolation of some entries; completion: alternating "
        "least squares over the observed entries; auto: completion where entries are missing, else svd",
        "auto",
    )
    entries: Literal["zeros", "missing"] = option("what an absent entry of a sparse tensor is", "zeros")
    missing: Literal["error", "mask"] = option("what a NaN of a dense tensor is", "error")
    l2: float = option("weight of the squares of all entries (completion)", 0.0, ge=0)
    max_iterations: int = option("sweeps there and back of completion and cross, at most", 100, ge=1)
    stop_tol: float = option("completion stops when the fit changes by less in a sweep", 1e-6, ge=0)
    seed: int = option("of the random start of completion and the samples of cross", 0, ge=0)
    dtype: Literal["float32", "float64"] = option("precision of the arithmetic", "float32")

    def method_for(self, *, gaps: bool) -> Method:
        """The method that the job asks for, or that auto means: completion where entries are missing, else svd."""
        if self.method != "auto":
            return self.method
        return "completion" if gaps else "svd"

    @model_validator(mode="after")
    def _fit_together(self) -> Hyperparameters:
        if self.max_rank is None and self.tol is None:
            raise ValueError(
                "one of the hyperparameters max_rank, such as 20, and tol, the relative error that the ranks follow "
                "from, is needed: neither is set"
            )
        if self.max_rank is None and self.method == "completion":
            raise ValueError(NEEDS_RANK)
        return self
