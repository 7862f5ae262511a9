"""Search: the resources whose members pass a request's filters."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from local_mode.front_door.resources import Document, page, refuse_not_honoured
from local_mode.front_door.shapes import invalid
from local_mode.front_door.store import Store

KINDS = {
    "TrainingJob": ("training-job", "TrainingJobName"),
    "Endpoint": ("endpoint", "EndpointName"),
    "ModelPackage": ("model-package", "ModelPackageArn"),
    "ModelPackageGroup": ("model-package-group", "ModelPackageGroupName"),
    "HyperParameterTuningJob": ("hyper-parameter-tuning-job", "HyperParameterTuningJobName"),
}


class Search:
    """Searches what the store has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def operations(self) -> Mapping[str, Callable[[Document], Document]]:
        """What is answered here."""
        return {"Search": self.search}

    def search(self, request: Document) -> Document:
        """A page of the resources that pass."""
        refuse_not_honoured(request, ("Resource", "SearchExpression", "SortBy", "SortOrder", "NextToken", "MaxResults"))
        resource = request["Resource"]
        if resource not in KINDS:
            raise invalid(f"Resource {resource} is not honoured on this machine: give one of {', '.join(KINDS)}")
        kind, name = KINDS[resource]
        expression = request.get("SearchExpression") or {}
        found = [each for each in self._store.all(kind).values() if passes(expression, each)]
        sort_by = request.get("SortBy") or "LastModifiedTime"
        found, token = page(
            found,
            {member: request.get(member) for member in ("SortOrder", "NextToken", "MaxResults")},
            name,
            {sort_by: lambda each: _orderly(_member(each, sort_by))},
            sort_by,
        )
        return {"Results": [{resource: each} for each in found], "NextToken": token}


def passes(expression: Document, document: Document) -> bool:
    """Whether a document passes filters and expressions: all of them, or with the operator Or one."""
    if expression.get("NestedFilters"):
        raise invalid("SearchExpression.NestedFilters is not honoured on this machine: give Filters")
    verdicts = [_passes_filter(each, document) for each in expression.get("Filters") or []]
    verdicts += [passes(each, document) for each in expression.get("SubExpressions") or []]
    if not verdicts:
        return True
    return any(verdicts) if expression.get("Operator") == "Or" else all(verdicts)


def _passes_filter(asked: Document, document: Document) -> bool:
    value, operator = _member(document, asked["Name"]), asked.get("Operator") or "Equals"
    value = str(value).lower() if isinstance(value, bool) else value
    wanted: str | None = asked.get("Value")
    if operator in ("Exists", "NotExists"):
        return (value is not None) == (operator == "Exists")
    if wanted is None:
        raise invalid(f"the filter of {asked['Name']} lacks its Value")
    if operator == "NotEquals":
        return value is None or str(value) != wanted
    if value is None:
        return False
    if operator == "Contains":
        return wanted.lower() in str(value).lower()
    if operator == "In":
        return str(value) in [each.strip() for each in wanted.split(",")]
    if operator == "Equals":
        return str(value) == wanted
    return _compared(value, operator, wanted, asked["Name"])


def _compared(value: Any, operator: str, wanted: str, name: str) -> bool:
    try:
        own, other = float(value), _number(wanted)
    except (TypeError, ValueError):
        raise invalid(
            f"the filter of {name} compares by {operator}: '{value}' and '{wanted}' must be numbers or times"
        ) from None
    verdicts: dict[str, bool] = {
        "GreaterThan": own > other,
        "GreaterThanOrEqualTo": own >= other,
        "LessThan": own < other,
        "LessThanOrEqualTo": own <= other,
    }
    return verdicts[operator]


def _number(text: str) -> float:
    """A number, or a time as ISO 8601 has it."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _member(document: Any, path: str) -> Any:
    """The member at a path of names; of tags and metrics, the one of its key."""
    first, _, rest = path.partition(".")
    if not isinstance(document, Mapping):
        return None
    if first == "Tags":
        return next((tag["Value"] for tag in document.get("Tags") or [] if tag["Key"] == rest), None)
    if first == "Metrics":
        metrics = document.get("FinalMetricDataList") or []
        return next((each["Value"] for each in metrics if each["MetricName"] == rest), None)
    value = document.get(first)
    return _member(value, rest) if rest and value is not None else value


def _orderly(value: Any) -> tuple[bool, float, str]:
    """What values of several kinds are sorted by; those that lack it come first."""
    if isinstance(value, int | float):
        return True, float(value), ""
    return value is not None, 0.0, "" if value is None else str(value)
