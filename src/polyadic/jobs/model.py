"""What a trained model can do, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from polyadic.artifact import Artifact


class Model(Protocol):
    """A trained model: it can be written down, and it answers requests."""

    def artifact(self) -> Artifact:
        """Everything that the algorithm's `load` needs."""

    def parse(self, instance: object, configuration: Mapping[str, Any]) -> Any:
        """An instance of a request, checked.

        Raises UserError for one that is not valid.
        """

    def predict(self, instances: list[Any]) -> list[dict[str, Any]]:
        """One answer per parsed instance; an answer does not depend on the other instances."""

    def example(self) -> object:
        """An instance that `parse` accepts, to warm up with."""


@runtime_checkable
class Tabular(Protocol):
    """A model whose requests and answers may be tables of numbers: text/csv and application/x-npy."""

    def from_table(self, table: Any) -> list[Any]:
        """The instances of a table, which is a list of rows or an array."""

    def to_table(self, predictions: list[dict[str, Any]]) -> Any:
        """The answers as rows: an array, or a list where the rows differ in length.

        Raises UserError for answers that are no rows of numbers.
        """


@runtime_checkable
class Weighed(Protocol):
    """A model whose instances differ in what they cost; those of another model count as one each."""

    most_weight: int
    """What is predicted together, unless one instance has more: from where on more at once is no faster."""

    def weight(self, query: Any) -> int:
        """What a parsed instance adds to that, in memory and time: 1 or more."""

    def numbers(self, query: Any) -> int:
        """How many numbers its answer holds."""


@runtime_checkable
class Together(Protocol):
    """A model that checks several instances in less time together than one after the other."""

    def parse_together(self, instances: Sequence[Any], configuration: Mapping[str, Any]) -> list[Any] | None:
        """As `parse` of each; None where each must be seen alone, as where any may be wrong. UserError says so too."""


class Schemas(NamedTuple):
    """JSON Schemas (draft 2020-12) of an instance, of a request's configuration, and of a prediction."""

    instance: Mapping[str, Any]
    configuration: Mapping[str, Any]
    prediction: Mapping[str, Any]


@runtime_checkable
class Described(Protocol):
    """A model that describes what it is asked and what it answers, for /openapi.json."""

    def schemas(self) -> Schemas:
        """What every valid instance and every prediction is like; an instance may be wrong in other ways."""


@runtime_checkable
class Recorded(Protocol):
    """A model whose requests may be application/x-recordio-protobuf; its answers are then the labels of the records."""

    def from_records(self, rows: Any) -> list[Any]:
        """The instances of records of counts."""
