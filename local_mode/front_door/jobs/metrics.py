"""The metrics that a job's lines hold, by the expressions of MetricDefinitions."""

import math
import re
import threading
from collections.abc import Callable, Sequence

from local_mode.front_door.resources import Document, now
from local_mode.front_door.shapes import invalid


class Metrics:
    """The values of each metric, in the order in which they were printed; on_value: told of each that is finite."""

    def __init__(self, definitions: Sequence[Document], on_value: Callable[[str, float], None]) -> None:
        self._lock, self._on_value = threading.Lock(), on_value
        self._patterns = [(each["Name"], compiled(each)) for each in definitions]
        self._values: dict[str, list[tuple[float, float]]] = {}

    def read(self, line: str) -> None:
        """Looks for metrics in a line."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            if match and match.groups():
                try:
                    value = float(match[1])
                except (TypeError, ValueError):  # No number, or a group that took no part in the match.
                    continue
                with self._lock:
                    self._values.setdefault(name, []).append((value, now()))
                if math.isfinite(value):
                    self._on_value(name, value)

    def values(self, name: str) -> list[float]:
        """All values of a metric."""
        with self._lock:
            return [value for value, _ in self._values.get(name, [])]

    def final(self) -> list[Document]:
        """FinalMetricDataList: the last value of each, but of those that ended with no finite one."""
        with self._lock:
            return [
                {"MetricName": name, "Value": values[-1][0], "Timestamp": values[-1][1]}
                for name, values in self._values.items()
                if math.isfinite(values[-1][0])  # JSON has no others.
            ]


def compiled(definition: Document) -> re.Pattern[str]:
    """The expression of a definition; Fault for one that is none."""
    try:
        return re.compile(definition["Regex"])
    except re.error as error:
        raise invalid(f"MetricDefinitions: the expression of {definition['Name']} is none: {error}") from None
