"""The fit of a weight by alternating least squares, with the rank, penalty and smoothness that held samples choose.

Shapes: B samples of this rank, C scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polyadic.algorithms.tensor_regression.batches import Data
from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.algorithms.tensor_regression.memory import needs_of_als
from polyadic.algorithms.tensor_regression.modality import Modality
from polyadic.algorithms.tensor_regression.solved import in_units, samples_of
from polyadic.jobs.job import Job
from polyadic.jobs.memory import reserve
from polyadic.regression import Product, Regression, choose, tensor_regression
from polyadic.regression.als import State
from polyadic.regression.choice import PENALTIES, RANKS, WAYS, ways_tried
from polyadic.regression.coarse import LONG

BIC_PENALTY = 1e-3
"""wd of the fits whose BIC are compared, where none is given."""
WITHOUT_GAIN = 2
"""So many ranks in a row with a larger BIC end the search."""
MOST_INTERVAL_NUMBERS = 2**26
"""Numbers of all refits' weights that intervals are taken from."""


@dataclass
class Solving:
    """An als fit of a job: to the data of channel train, with those of channel validation where there is one.

    rank, wd, way (smoothness and edges): of the fit that is kept. stopped: whether the job was told to end.
    """

    job: Job[Hyperparameters]
    train: Data
    validation: Data | None
    outputs: int

    def __post_init__(self) -> None:
        settings, world = self.job.hyperparameters, self.job.world
        reserve(self.job, needs_of_als(self.train, self.validation, settings))
        self._samples, self._label = self._of(self.train)
        settings.refuse_rank(tuple(self._samples.shape[1:]), self.outputs)
        self._held = None if self.validation is None else self._of(self.validation)
        weighed = settings.class_weights != "none"
        self._weight = torch.from_numpy(self.train.weight_B).to(world.device) if weighed else None
        self._sweeps, self.stopped = 0, False
        self.rank: Any = None
        self.wd, self.way = 0.0, (0.0, False)

    def _of(self, data: Data) -> tuple[Tensor | Product, Tensor]:
        settings, device = self.job.hyperparameters, self.job.world.device
        inputs = [part.to(device, getattr(torch, settings.dtype)) for part in data.inputs.take(slice(None))]
        return samples_of(inputs), torch.from_numpy(data.label_B.astype(np.float64)).to(device)

    def solve(self) -> Regression:
        """The fit, with the rank and the penalty that are given, or chosen."""
        settings = self.job.hyperparameters
        ranks: Sequence[Any] = RANKS if settings.ranks is None else [settings.ranks]
        penalties = PENALTIES if settings.wd is None else [settings.wd]
        ways = self._ways()
        self.way = ways[0]
        found: Regression | None = None
        if settings.ranks is None and self._held is None and len(ways) == 1:
            self.rank, self.wd, found = self._by_bic(ranks)
            if self.stopped or len(penalties) == 1:
                return found
            ranks = [self.rank]
        if len(ranks) == len(penalties) == len(ways) == 1:
            self.rank, self.wd = ranks[0], penalties[0]
            return self._fit(self.rank, self.wd)
        chosen = choose(
            self._samples, self._label, ranks=ranks, penalties=penalties, ways=ways, validation=self._held,
            **self._options(),
        )  # fmt: skip
        if self.stopped and found is not None:
            return found  # To all samples; what the search has so far is to a part of them.
        self.rank, self.wd, self.way = chosen.rank, chosen.wd, (chosen.smoothness, chosen.edges)
        by = "channel validation" if self._held is not None else "a fifth of channel train"
        self.job.note(
            f"tensor-regression: rank {chosen.rank}, wd {chosen.wd:g} and smoothness {chosen.smoothness:g}"
            f"{' with edges' if chosen.edges else ''}, the best on {by}"
        )
        return chosen.regression

    def _ways(self) -> tuple[tuple[float, bool], ...]:
        """The smoothness and the edges that are given, or those to choose from."""
        settings = self.job.hyperparameters
        chosen = settings.ranks is None or settings.wd is None
        if settings.edges and (isinstance(self._samples, Product) or max(self._samples.shape[1:]) < LONG):
            self.job.note(f"warning: edges=true has no effect: the samples have no mode of {LONG} rows or more")
            return WAYS[:1]
        if settings.smoothness is not None:
            return ((settings.smoothness, bool(settings.edges)),)
        if settings.edges:
            return (WAYS[-1],)
        tried = ways_tried(self._samples, self.job.world) if chosen else WAYS[:1]
        return tried if settings.edges is None else tuple(way for way in tried if not way[1])

    def _by_bic(self, ranks: Sequence[int]) -> tuple[int, float, Regression]:
        """The rank with the least BIC, the penalty of the fits that were compared, and that of this rank."""
        best, without = (math.inf, ranks[0]), 0
        wd = BIC_PENALTY if self.job.hyperparameters.wd is None else self.job.hyperparameters.wd
        kept: Regression | None = None
        for rank in ranks:
            found = self._fit(rank, wd)
            self.job.metric("train BIC", found.bic, {"rank": rank}, unit="score")
            # A fit that was stopped says nothing of its rank.
            if kept is None or (found.bic < best[0] and not self.stopped):
                best, without, kept = (found.bic, rank), 0, found
            else:
                without += 1
            if without == WITHOUT_GAIN or self.stopped:
                break
        assert kept is not None
        self.job.note(f"tensor-regression: rank {best[1]}, of the least BIC")
        return best[1], wd, kept

    def _fit(self, rank: Any, wd: float) -> Regression:
        return tensor_regression(self._samples, self._label, rank, wd=wd, **self._options(), **self._smooth())

    def _smooth(self) -> dict[str, Any]:
        smoothness, edges = self.way
        return {"smoothness": smoothness, "edges": edges}

    def _options(self) -> dict[str, Any]:
        settings = self.job.hyperparameters
        return {
            "weight": settings.weight,
            "loss": settings.loss_name,
            "outputs": self.outputs,
            "sample_weight": self._weight,
            "restarts": settings.restarts,
            "seed": settings.seed,
            "world": self.job.world,
            "after_sweep": self._after_sweep,
            # The fits that a choice compares have ends of their own, unless others are given.
            **{name: getattr(settings, name) for name in settings.model_fields_set & {"max_sweeps", "stop_tol"}},
        }

    def _after_sweep(self, state: State) -> bool:
        self._sweeps += 1
        self.job.metric("train objective", state.objective[-1], {"sweep": self._sweeps})
        self.stopped = self.stopped or self.job.boundary(self._sweeps).stop
        return not self.stopped

    def intervals(self, found: Regression, modalities: Sequence[Modality]) -> tuple[Tensor, Tensor] | None:
        """2.5 % and 97.5 % of each entry of W, in the units of the data, in refits to samples drawn anew.

        I_1 x ... x I_N x C each.

        None where none are asked for, or where W is so large that they would not be held.
        """
        settings, world = self.job.hyperparameters, self.job.world
        count = settings.bootstrap
        numbers = math.prod(found.weight.shape) * found.weight.outputs
        if not count or self.stopped:
            return None
        if numbers * count > MOST_INTERVAL_NUMBERS:
            self.job.note(f"warning: W has {numbers:,} entries, too many for {count} refits: no intervals are taken")
            return None
        drawn = []
        for number in range(count):
            random = np.random.default_rng([settings.seed, number, world.rank])
            times = torch.from_numpy(random.poisson(1.0, len(self._label)).astype(np.float64)).to(world.device)
            options = self._options() | {"sample_weight": times if self._weight is None else times * self._weight}
            again = tensor_regression(
                self._samples, self._label, self.rank, wd=self.wd, init=found.weight, **options, **self._smooth()
            )  # fmt: skip
            whole, _ = in_units(again.weight.to(torch.device("cpu"), torch.float64), modalities)
            drawn.append(whole.full().float())
            if self.stopped:
                return None
        shape, flat = drawn[0].shape, torch.stack(drawn).flatten(1)
        return torch.quantile(flat, 0.025, dim=0).reshape(shape), torch.quantile(flat, 0.975, dim=0).reshape(shape)
