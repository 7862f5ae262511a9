"""What a tuning job tries next, what it gives up, and when it has enough: optuna's samplers and pruners."""

import math
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from local_mode.front_door.jobs.ranges import Range, grid_of, ranges_of
from local_mode.front_door.resources import Document
from local_mode.front_door.shapes import invalid

if TYPE_CHECKING:
    import optuna


MAX_POINTS = 10_000


def resources_of(definition: Document) -> Document:
    """The ResourceConfig of a training job; of several that it may have the first. Fault where there is none."""
    tuning = definition.get("HyperParameterTuningResourceConfig")
    if tuning is None:
        if "ResourceConfig" not in definition:
            raise invalid("TrainingJobDefinition.ResourceConfig is missing")
        resources: Document = definition["ResourceConfig"]
        return resources
    first = (tuning.get("InstanceConfigs") or [tuning])[0]
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    return {member: first[member] for member in members if first.get(member)}


class TuningSearch:
    """The choices of one tuning job: what is tried next, what is given up, and when there is enough."""

    def __init__(self, request: Document) -> None:
        config = request["HyperParameterTuningJobConfig"]
        objective, limits = config["HyperParameterTuningJobObjective"], config["ResourceLimits"]
        self.metric: str = objective["MetricName"]
        self.begun = 0
        self.best: float | None = None
        self._ranges = ranges_of(config.get("ParameterRanges") or {})
        self._sign = 1.0 if objective["Type"] == "Minimize" else -1.0
        instances = resources_of(request["TrainingJobDefinition"]).get("InstanceCount") or 1
        self.parallel = min(limits["MaxParallelTrainingJobs"], max(1, (os.cpu_count() or 1) // instances))
        self._most = _number_of_jobs(config, self._ranges)
        self._until = time.monotonic() + (limits.get("MaxRuntimeInSeconds") or float("inf"))
        criteria = config.get("TuningJobCompletionCriteria") or {}
        self._target = criteria.get("TargetObjectiveMetricValue")
        self._patience = (criteria.get("BestObjectiveNotImproving") or {}).get("MaxNumberOfTrainingJobsNotImproving")
        self._not_improving = 0
        self._study = _study(config, self._ranges)

    @property
    def is_done(self) -> bool:
        """Whether enough was tried, or the time is over."""
        reached = self._target is not None and self.best is not None and self.best <= self._sign * self._target
        tired = self._patience is not None and self._not_improving >= self._patience
        return self.begun >= self._most or time.monotonic() > self._until or reached or tired

    def ask(self) -> "tuple[optuna.Trial, dict[str, str]]":
        """What is tried next."""
        trial = self._study.ask({each.name: each.distribution for each in self._ranges})
        self.begun += 1
        return trial, {each.name: each.text(trial.params[each.name]) for each in self._ranges}

    def should_stop(self, trial: "optuna.Trial", values: Sequence[float]) -> bool:
        """Whether a training job is given up, by what it has told until now, or for want of time."""
        known = len(self._study.trials[trial.number].intermediate_values)
        for step, value in enumerate(values[known:], known + 1):
            trial.report(self._sign * value, step)
        return time.monotonic() > self._until or (len(values) > known and trial.should_prune())

    def tell(self, trial: "optuna.Trial", values: Sequence[float]) -> None:
        """The end of a training job, by the last value of its objective; without any it has failed."""
        from optuna.trial import TrialState

        if not values or not math.isfinite(values[-1]):
            self._study.tell(trial, state=TrialState.FAIL)
            return
        value = self._sign * values[-1]
        self._study.tell(trial, value)
        self._not_improving += 1
        if self.best is None or value < self.best:
            self.best, self._not_improving = value, 0


def _study(config: Document, ranges: Sequence[Range]) -> "optuna.Study":
    """optuna's study, which always makes small; the sign of an objective that is to be large is turned."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed, strategy = config.get("RandomSeed"), config["Strategy"]
    seed = None if seed is None else seed % 2**32  # As many as numpy's generators take.
    sampler: optuna.samplers.BaseSampler
    if strategy == "Random":
        sampler = optuna.samplers.RandomSampler(seed)
    elif strategy == "Grid":
        sampler = _grid_sampler(ranges, seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if strategy == "Hyperband":
        resources = (config.get("StrategyConfig") or {}).get("HyperbandStrategyConfig") or {}
        pruner = optuna.pruners.HyperbandPruner(resources.get("MinResource", 1), resources.get("MaxResource", "auto"))
    elif config.get("TrainingJobEarlyStoppingType") == "Auto":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_min_trials=2)
    return optuna.create_study(sampler=sampler, pruner=pruner)


def _grid_sampler(ranges: Sequence[Range], seed: int | None) -> "optuna.samplers.BaseSampler":
    """A sampler that leaves it to us when the grid was tried whole: optuna's own stops a study that asks and tells."""
    import optuna

    class Sampler(optuna.samplers.GridSampler):
        def after_trial(self, study: object, trial: object, state: object, values: object) -> None:
            pass

    return Sampler(grid_of(ranges), seed)


def _number_of_jobs(config: Document, ranges: Sequence[Range]) -> int:
    most: int | None = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] != "Grid":
        if most is None:
            raise invalid("ResourceLimits.MaxNumberOfTrainingJobs is missing")
        return most
    count = 1
    for values in grid_of(ranges).values():
        count *= len(values)
    if count > MAX_POINTS:
        raise invalid(f"the grid has {count} points: at most {MAX_POINTS} are tried on this machine")
    if most not in (None, count):
        raise invalid(f"MaxNumberOfTrainingJobs is {most}: the grid has {count} points, so leave it out")
    return count
