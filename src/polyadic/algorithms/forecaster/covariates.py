"""What a forecaster uses of `cat` and `dynamic_feat`, and which series fit it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import orjson
from pydantic import AfterValidator

from polyadic.distributed import World
from polyadic.errors import UserError, shorten
from polyadic.forecasting.series import Series
from polyadic.forecasting.store import SeriesStore

LARGEST_CARDINALITY = 1_000_000
"""The most categories of a grouping: an embedding has a row of numbers for each, used or not."""


@dataclass(frozen=True)
class Covariates:
    """The number of categories in each grouping, and the number of dynamic features; None where they are ignored."""

    cardinalities: tuple[int, ...] | None
    features: int | None

    @staticmethod
    def of(cardinality: str, num_dynamic_feat: str) -> Covariates:
        """What these two hyperparameters say; one that is still `auto` counts as ignored."""
        words = ("ignore", "auto")
        return Covariates(
            None if cardinality in words else tuple(orjson.loads(cardinality)),
            None if num_dynamic_feat in words else int(num_dynamic_feat),
        )

    @property
    def written(self) -> dict[str, str]:
        """The two hyperparameters, by name, as `of` reads them."""
        return {
            "cardinality": "ignore" if self.cardinalities is None else str(list(self.cardinalities)),
            "num_dynamic_feat": "ignore" if self.features is None else str(self.features),
        }

    def refuse(self, series: Series) -> None:
        """Raises UserError for a series whose categories or features are not those of the model."""
        self.refuse_extent(series.cat, 0 if series.dynamic is None else len(series.dynamic))

    def refuse_extent(self, cat: tuple[int, ...], features: int) -> None:
        """Raises UserError for N categories, or a number of features, that are not those of the model."""
        if self.cardinalities is not None:
            _refuse_cat(cat, self.cardinalities)
        if self.features not in (None, features):
            advice = "give as many, each with one number per time stamp" if self.features else "leave dynamic_feat out"
            raise UserError(f"dynamic_feat has {features} features, but num_dynamic_feat is {self.features}: {advice}")


def resolve(cardinality: str, num_dynamic_feat: str, series: SeriesStore, world: World) -> Covariates:
    """What the two hyperparameters say, with `auto` read off the training series of all ranks. A collective.

    All series have the same number of categories and of dynamic features. Raises UserError where the hyperparameters do
    not fit the series.
    """
    ranks = [extent for extent in world.collect(_extent(series)) if extent is not None]
    largest = tuple(max(column) for column in zip(*(cat for cat, _ in ranks), strict=True))
    features = max((count for _, count in ranks), default=0)
    given = Covariates.of(cardinality, num_dynamic_feat)
    resolved = Covariates(
        _counts(largest) if cardinality == "auto" else given.cardinalities,
        features if num_dynamic_feat == "auto" else given.features,
    )
    if ranks:
        try:
            resolved.refuse_extent(largest, features)
        except UserError as error:
            raise UserError(f"channel train, the largest of each grouping: {error}") from None
    return resolved


def refuse_unfit(covariates: Covariates, series: SeriesStore, channel: str) -> None:
    """Raises UserError for the first series of a channel that does not fit the covariates."""
    for cat, place in zip(map(tuple, series.cat_SN.tolist()), series.place_S, strict=True):
        try:
            covariates.refuse_extent(cat, series.features)
        except UserError as error:
            raise UserError(f"channel {channel}, {place}: {error}") from None


def _checked_cardinality(text: str) -> str:
    """The hyperparameter in one spelling: auto, ignore (also an empty text) or a list; ValueError otherwise."""
    word = text.strip().lower() or "ignore"
    if word in ("auto", "ignore"):
        return word
    try:
        counts = orjson.loads(word)
    except orjson.JSONDecodeError:
        counts = None
    right = isinstance(counts, list) and all(
        type(count) is int and 1 <= count <= LARGEST_CARDINALITY for count in counts
    )
    if not right:
        raise ValueError(
            f"it must be auto, ignore or a list of numbers of categories, each from 1 to {LARGEST_CARDINALITY}, "
            "such as [3, 7]"
        )
    return str(counts)


def _checked_features(text: str) -> str:
    """The hyperparameter in one spelling: auto, ignore (also an empty text) or a number; ValueError otherwise."""
    word = text.strip().lower() or "ignore"
    if word in ("auto", "ignore"):
        return word
    if not word.isdecimal():
        raise ValueError("it must be auto, ignore or the number of dynamic features, such as 2")
    return str(int(word))


CardinalityText = Annotated[str, AfterValidator(_checked_cardinality)]
FeaturesText = Annotated[str, AfterValidator(_checked_features)]


def _extent(series: SeriesStore) -> tuple[tuple[int, ...], int] | None:
    """The largest category of each grouping and the number of features; None without a series."""
    return (tuple(series.cat_SN.max(0).tolist()), series.features) if len(series) else None


def _counts(largest: tuple[int, ...]) -> tuple[int, ...]:
    """How many categories each grouping has, given the largest of each; UserError where they are too many."""
    for number in largest:
        if number >= LARGEST_CARDINALITY:
            raise UserError(
                f"channel train: cat holds {number}, but categories go from 0 to {LARGEST_CARDINALITY - 1}: "
                "number them without gaps, or set cardinality to ignore"
            )
    return tuple(number + 1 for number in largest)


def _refuse_cat(cat: tuple[int, ...], cardinalities: tuple[int, ...]) -> None:
    got, known = shorten(list(cat)), shorten(list(cardinalities))
    if len(cat) != len(cardinalities):
        advice = f"give {len(cardinalities)} whole numbers" if cardinalities else "leave cat out"
        raise UserError(f"cat is {got}, but cardinality is {known}: {advice}")
    for number, (category, cardinality) in enumerate(zip(cat, cardinalities, strict=True), 1):
        if not 0 <= category < cardinality:
            raise UserError(
                f"cat is {got}, but cardinality is {known}: number {number} must be from 0 to {cardinality - 1}"
            )
