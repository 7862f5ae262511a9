"""What a job may ask for: one algorithm per package, found by being there.

The package declares `ALGORITHM`, a `polyadic.jobs.algorithm.Algorithm`; docs/architecture.md shows how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping

from polyadic.errors import UserError, unknown
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.algorithm import Algorithm
from polyadic.registry import Registry

ALGORITHMS: Registry[Algorithm] = Registry(__name__, "ALGORITHM", Algorithm)
"""Every algorithm by its name."""


def named(name: str) -> Algorithm:
    """The algorithm of that name.

    Raises UserError, with the nearest name, where there is none.
    """
    if name not in ALGORITHMS:
        raise UserError(unknown("algorithm", name, list(ALGORITHMS)))
    return ALGORITHMS[name]


def choose(raw: Mapping[str, object]) -> tuple[Algorithm, hyper.Hyperparameters]:
    """The algorithm and the typed hyperparameters of a job.

    Where `algorithm` is absent, the one whose required hyperparameters are all present is meant, among those that
    declare that they may be guessed; of several the one that knows all the others. So an algorithm that is added never
    changes what an existing job means.

    Raises UserError for an unknown algorithm, where none or several fit, and for wrong hyperparameters.
    """
    own = {key: value for key, value in raw.items() if not hyper.is_foreign(key)}
    name = own.pop("algorithm", None)
    algorithm = _fitting(own) if name is None else named(str(hyper.bare(name)))
    return algorithm, hyper.parse(algorithm.hyperparameters, own)


def _fitting(own: Mapping[str, object]) -> Algorithm:
    known = list(ALGORITHMS.values())
    fitting = [algorithm for algorithm in known if algorithm.guessed and own.keys() >= set(algorithm.required)]
    if len(fitting) > 1:  # Of those, one that knows all the names is meant.
        fitting = [each for each in fitting if own.keys() <= each.hyperparameters.model_fields.keys()] or fitting
    if len(fitting) == 1:
        return fitting[0]
    choices = "; ".join(
        f"{algorithm.name} (needs {', '.join(algorithm.required)})" if algorithm.required else algorithm.name
        for algorithm in known
    )
    if not own:
        raise UserError(f"the job has no hyperparameters (hyperparameters.json): set algorithm to one of {choices}")
    names = " and ".join(algorithm.name for algorithm in fitting) or "no algorithm"
    raise UserError(
        f"hyperparameter algorithm is missing, and the others ({', '.join(own)}) fit {names}: "
        f"set algorithm to one of {choices}{_misspelt(own)}"
    )


def _misspelt(own: Mapping[str, object]) -> str:
    """A hint for each name that no algorithm knows."""
    known = sorted({name for algorithm in ALGORITHMS.values() for name in algorithm.hyperparameters.model_fields})
    return "".join(f". {unknown('hyperparameter', name, known)}" for name in own if name not in known)
