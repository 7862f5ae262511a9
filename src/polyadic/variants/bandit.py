"""Thompson sampling for rewards that arrive at once: traffic moves to what pays, and stays comparable afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from polyadic.variants.assignment import Assignment, Shares
from polyadic.variants.errors import VariantError

FLOOR = 0.05
DRAWS = 4000
REMEMBERED = 100_000
"""Inference ids that wait for a reward, and as many that have had theirs; the oldest are forgotten."""
PRIOR_VARIANCE = 0.25
"""Of one reward from 0 to 1 of which nothing is known; it counts as one imagined reward at 1/2."""


@dataclass
class ThompsonSampling:
    """Shares in proportion to the chance that a variant has the greatest mean reward, none of them below a floor.

    A variant's mean reward has a normal posterior: one imagined reward at 1/2 and those that came. The shares change
    only when `shares` is called, so give it batches of rewards, of some hundred requests. Every request's propensity is
    the share that was in force, with the floor above 0, so `compare_split` may be asked of its traffic later. It is no
    default: rewards that come late favour nobody here, since what has not come counts nowhere, but then it learns
    nothing either, and a forecast's error comes late by nature. What did not happen, such as a click, is to be rewarded
    with 0: what is never said counts nowhere.
    """

    variants: Sequence[str]
    seed: int = 0
    floor: float = FLOOR
    ignored: int = field(default=0, init=False)
    """Rewards of an inference id that is unknown or was rewarded before."""

    def __post_init__(self) -> None:
        self.variants = tuple(self.variants)
        if len(set(self.variants)) < 2 or len(set(self.variants)) < len(self.variants):
            raise VariantError(f"variants: got {list(self.variants)}; allowed are two or more different names")
        if not 0 < self.floor <= 1 / len(self.variants):
            raise VariantError(f"floor: got {self.floor}; allowed is above 0 and at most {1 / len(self.variants):g}")
        self._open: dict[str, str] = {}
        self._rewarded: dict[str, bool] = {}
        self._sums = {name: [0.0, 0.0, 0.0] for name in self.variants}
        self._looks = 0

    def shares(self, salt: str, excluded: frozenset[str] = frozenset(), champion: str | None = None) -> Shares:
        """The shares that hold from now on: floor + (1 - K floor) P(variant has the greatest mean)."""
        self._looks += 1
        chance = np.random.default_rng((self.seed, self._looks))
        moments = [self._posterior(name) for name in self.variants]
        means, deviations = (np.array(each) for each in zip(*moments, strict=True))
        best = (means + deviations * chance.standard_normal((DRAWS, len(means)))).argmax(axis=1)
        share = self.floor + (1 - len(means) * self.floor) * np.bincount(best, minlength=len(means)) / DRAWS
        return Shares(dict(zip(self.variants, (share / share.sum()).tolist(), strict=True)), salt, excluded, champion)

    def serve(self, inference_id: str, assignment: Assignment) -> None:
        """Note which variant serves an inference id, so that its reward goes there, whoever serves the user later."""
        self._require_known(assignment.variant)
        if inference_id not in self._rewarded:
            self._open.setdefault(inference_id, assignment.variant)
        for kept in (self._open, self._rewarded):
            while len(kept) > REMEMBERED:
                del kept[next(iter(kept))]

    def reward(self, inference_id: str, reward: float) -> None:
        """Credit a reward from 0 to 1 to the variant that served the id; a second one is ignored and counted."""
        if not 0 <= reward <= 1:
            raise VariantError(f"reward: got {reward}; allowed is a number from 0 to 1: scale it by its greatest value")
        variant, reward = self._open.pop(inference_id, None), float(reward)
        if variant is None:
            self.ignored += 1
            return
        self._rewarded[inference_id] = True
        sums = self._sums[variant]
        sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + reward, sums[2] + reward * reward

    def state(self) -> dict[str, Any]:
        """All that it knows, as JSON can hold it, for `restored`."""
        known = {
            "open": self._open,
            "rewarded": list(self._rewarded),
            "sums": self._sums,
            "looks": self._looks,
            "ignored": self.ignored,
        }
        return {"variants": list(self.variants), "seed": self.seed, "floor": self.floor, **known}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Self:
        """The sampler that goes on from a `state`."""
        sampler = cls(state["variants"], state["seed"], state["floor"])
        sampler._open, sampler._rewarded = dict(state["open"]), dict.fromkeys(state["rewarded"], True)
        sampler._sums = {name: list(sums) for name, sums in state["sums"].items()}
        sampler._looks, sampler.ignored = state["looks"], state["ignored"]
        return sampler

    def _posterior(self, name: str) -> tuple[float, float]:
        count, total, squares = self._sums[name]
        mean = (total + 0.5) / (count + 1)
        spread = (squares + 0.25 + PRIOR_VARIANCE) / (count + 1) - mean * mean
        return mean, math.sqrt(max(spread, 1e-12) / (count + 1))

    def _require_known(self, variant: str) -> None:
        if variant not in self._sums:
            raise VariantError(f"there is no variant {variant!r}; known are {', '.join(self.variants)}")
