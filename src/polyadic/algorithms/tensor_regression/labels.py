"""Labels: numbers, or classes that are counted from 0 in the order of their names.

Shapes: B samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from polyadic.algorithms.tensor_regression.hyperparameters import Hyperparameters
from polyadic.distributed import World
from polyadic.errors import UserError, shorten
from polyadic.regression.losses import named

Class: TypeAlias = int | float | str
Given: TypeAlias = NDArray[np.float64] | list[str]


MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Labels:
    """What labels mean. classes: the labels of class 0, 1, ...; None where labels are numbers to be told."""

    classes: tuple[Class, ...] | None

    @staticmethod
    def of(settings: Hyperparameters, given: Given, world: World) -> Labels:
        """The classes of the training labels of all ranks; a collective.

        Two classes may be any two numbers or names, 0 being the lesser one. Several are whole numbers from 0, as Linear
        Learner has them, or names. Raises UserError for labels of one class alone, and for more than num_classes.
        """
        if settings.predictor_type == "regressor":
            return Labels(None)
        counts: set[Class] = set().union(*world.collect(set(given if isinstance(given, list) else given.tolist())))
        found = sorted(_whole(label) for label in counts)
        if len(found) < 2:
            raise UserError(f"all labels of channel train are {shorten(found[0])}: give samples of two classes or more")
        most = 2 if settings.predictor_type == "binary_classifier" else settings.num_classes
        if settings.predictor_type == "binary_classifier" or isinstance(found[0], str):
            if most is not None and len(found) > most:
                raise UserError(f"channel train has {len(found)} classes ({_few(found)}): {_advice(settings)}")
            return Labels(tuple(found))
        return Labels(tuple(range(most or int(float(found[-1])) + 1)))

    def outputs(self, settings: Hyperparameters) -> int:
        """C, the scores of a sample: one for each of several classes, else one."""
        several = settings.predictor_type == "multiclass_classifier" and self.classes is not None
        return len(self.classes or ()) if several else 1

    def ids(self, given: Given) -> NDArray[np.float64]:
        """The label of each sample as a number: B. Labels are such as `check` of these classes takes."""
        if self.classes is None or not len(given):
            return np.asarray(given, np.float64)
        places = {label: float(place) for place, label in enumerate(self.classes)}
        return np.array([places[label] for label in (given if isinstance(given, list) else given.tolist())])

    def check(self, settings: Hyperparameters) -> Callable[[float | str], str | None]:
        """What is wrong with a label of another channel, in words; None where nothing is."""
        if self.classes is None:
            return check(settings)
        known = frozenset(self.classes)
        told = f"channel train has {_few(self.classes)}: give samples of these classes, or train on the others as well"
        return lambda label: None if label in known else told


def check(settings: Hyperparameters) -> Callable[[float | str], str | None]:
    """What is wrong with a label of channel train, in words, as far as it can be seen; None where nothing is."""
    loss = named(settings.loss_name)
    seen: set[float | str] = set()
    counted = settings.predictor_type == "multiclass_classifier"

    def fault(label: float | str) -> str | None:
        if settings.predictor_type == "regressor":
            if isinstance(label, str):
                return "predictor_type=regressor takes numbers: set a classifier for names"
            return None if bool(loss.allowed(torch.tensor([label]))) else f"the loss {loss.name} takes {loss.takes}"
        if counted and not isinstance(label, str):
            last = (settings.num_classes or MOST_CLASSES) - 1
            if 0 <= label <= last and float(label).is_integer():
                return None
            limit = "num_classes - 1" if settings.num_classes else "more if num_classes is set"
            return f"classes are whole numbers from 0 to {last} ({limit}): mend it, or write classes as texts"
        seen.add(label)
        most = settings.num_classes if counted else 2
        return f"it is of class number {most + 1}: {_advice(settings)}" if most and len(seen) > most else None

    return fault


def _advice(settings: Hyperparameters) -> str:
    """What to do about more classes than there may be."""
    if settings.predictor_type == "binary_classifier":
        return "binary_classifier has two, so set predictor_type=multiclass_classifier"
    return f"num_classes is {settings.num_classes}, so raise it, or mend the labels"


def _whole(label: Class) -> Class:
    return int(label) if isinstance(label, float) and label.is_integer() else label


def _few(found: Sequence[Class]) -> str:
    return ", ".join(map(str, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
