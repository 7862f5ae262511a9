"""What a job may ask for: one algorithm a package, found by being here.

An algorithm is a package with NAME, SUMMARY, Hyperparameters, CHANNELS, METRICS, fit(job) -> Model and
load(artifact) -> Model. A module whose name begins with an underscore is a part of all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from polyadic.errors import UserError
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.algorithm import Algorithm


@cache
def algorithms() -> dict[str, Algorithm]:
    """Every algorithm by its name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    modules: list[Any] = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {module.NAME: module for module in modules}


def named(name: str) -> Algorithm:
    """The algorithm of that name; UserError with the nearest one otherwise."""
    if name not in algorithms():
        raise UserError(hyper.unknown("algorithm", name, list(algorithms())))
    return algorithms()[name]


def choose(raw: Mapping[str, object]) -> tuple[Algorithm, hyper.Hyperparameters]:
    """The algorithm and the typed hyperparameters of a job.

    Where `algorithm` is absent, the one whose required hyperparameters are all present is meant; an algorithm
    without any is never guessed.
    """
    own = {key: value for key, value in raw.items() if not hyper.is_foreign(key)}
    name = own.pop("algorithm", None)
    algorithm = _fitting(own) if name is None else named(str(hyper.bare(name)))
    return algorithm, hyper.parse(algorithm.Hyperparameters, own)


def required(algorithm: Algorithm) -> list[str]:
    """The names of the hyperparameters without a default."""
    return [name for name, field in algorithm.Hyperparameters.model_fields.items() if field.is_required()]


def _fitting(own: Mapping[str, object]) -> Algorithm:
    fitting = [one for one in algorithms().values() if required(one) and all(name in own for name in required(one))]
    if len(fitting) == 1:
        return fitting[0]
    choices = "; ".join(
        f"{one.NAME} (needs {', '.join(required(one))})" if required(one) else one.NAME for one in algorithms().values()
    )
    if not own:
        raise UserError(f"the job has no hyperparameters (hyperparameters.json): set algorithm to one of {choices}")
    fit = " and ".join(one.NAME for one in fitting) or "no algorithm"
    raise UserError(
        f"hyperparameter algorithm is missing, and the others ({', '.join(own)}) fit {fit}: "
        f"set algorithm to one of {choices}{_misspelt(own)}"
    )


def _misspelt(own: Mapping[str, object]) -> str:
    """A hint for each name that no algorithm knows."""
    known = sorted({name for one in algorithms().values() for name in one.Hyperparameters.model_fields})
    return "".join(f". {hyper.unknown('hyperparameter', name, known)}" for name in own if name not in known)
