"""The CreateAlgorithm specification: legal for the service, and true of what a job prints and takes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from polyadic.algorithms import ALGORITHMS
from polyadic.jobs.hyperparameters import parse
from polyadic.jobs.schema import table, training_specification
from tests.helpers.samples import planted
from tests.helpers.samples import table as samples_table
from tests.helpers.tiny_jobs import job

each = pytest.mark.parametrize("name", sorted(ALGORITHMS))


@cache
def create_algorithm() -> Shape:
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    shape = model.operation_model("CreateAlgorithm").input_shape
    assert shape is not None
    return shape


def specification(name: str) -> dict[str, Any]:
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/polyadic:1"
    found: dict[str, Any] = training_specification(ALGORITHMS[name], image)
    return found


def faults(shape: Any, value: Any, path: str = "") -> list[str]:
    """Where a value breaks an enumeration, a pattern or a limit, which botocore leaves to the service."""
    if shape.type_name == "structure":
        return [f for key, one in value.items() for f in faults(shape.members[key], one, f"{path}.{key}")]
    limits, found = shape.metadata, []
    if shape.type_name == "list":
        found = [f for n, one in enumerate(value) for f in faults(shape.member, one, f"{path}[{n}]")]
    if shape.type_name in ("list", "string") and not limits.get("min", 0) <= len(value) <= limits.get("max", 1e9):
        found.append(f"{path} has length {len(value)}")
    if limits.get("enum") and value not in limits["enum"]:
        found.append(f"{path} is {value}")
    # Java's classes of characters are not Python's: those patterns allow any printable text.
    if "pattern" in limits and r"\p" not in limits["pattern"] and not re.fullmatch(limits["pattern"], value):
        found.append(f"{path} is {value}, against {limits['pattern']}")
    return found


@each
def test_the_specification_is_legal(name: str) -> None:
    request = {"AlgorithmName": f"polyadic-{name}", **specification(name)}
    report = ParamValidator().validate(request, create_algorithm())
    assert not report.has_errors(), report.generate_report()
    assert not faults(create_algorithm(), request)


@each
def test_every_hyperparameter_is_described(name: str) -> None:
    algorithm = ALGORITHMS[name]
    specified = {one["Name"]: one for one in specification(name)["TrainingSpecification"]["SupportedHyperParameters"]}
    assert specified.keys() == {"algorithm", *algorithm.hyperparameters.model_fields}
    for key, field in algorithm.hyperparameters.model_fields.items():
        assert specified[key]["IsRequired"] == field.is_required()
        assert specified[key]["Description"]


# What a job cannot leave out beside the required hyperparameters: one of two.
EITHER = {"tensor-train": ["max_rank"], "tucker": ["ranks"]}


def least(name: str) -> dict[str, str]:
    """The fewest hyperparameters that a job may have."""
    fields = ALGORITHMS[name].hyperparameters.model_fields
    needed = [key for key, field in fields.items() if field.is_required()]
    return {key: ALGORITHMS[name].tiny_job.hyperparameters[key] for key in needed + EITHER.get(name, [])}


@each
def test_the_defaults_parse_to_the_defaults(name: str) -> None:
    """A job that writes every default out is the job that writes none."""
    kind = ALGORITHMS[name].hyperparameters
    specified = specification(name)["TrainingSpecification"]["SupportedHyperParameters"]
    written = {
        one["Name"]: one["DefaultValue"] for one in specified if "DefaultValue" in one and one["Name"] != "algorithm"
    }
    needed = least(name)
    assert parse(kind, {**written, **needed}) == parse(kind, needed)


# What a hyperparameter, or one of its values, goes with, where that is not what a job cannot leave out.
BINARY, SEVERAL = {"predictor_type": "binary_classifier"}, {"predictor_type": "multiclass_classifier"}
BESIDE = {"tensor-regression": {"num_classes": SEVERAL, "softmax": SEVERAL, "logistic": BINARY}}


@each
def test_the_ends_of_every_range_are_taken_unless_they_are_excluded(name: str) -> None:
    kind = ALGORITHMS[name].hyperparameters
    needed, beside = least(name), BESIDE.get(name, {})
    for one in specification(name)["TrainingSpecification"]["SupportedHyperParameters"]:
        ends = one.get("Range", {}).get("IntegerParameterRangeSpecification", {})
        for end in ends.values():
            given = {**needed, **beside.get(one["Name"], {}), one["Name"]: end}
            assert getattr(parse(kind, given), one["Name"]) == int(end)
        for value in one.get("Range", {}).get("CategoricalParameterRangeSpecification", {}).get("Values", []):
            if one["Name"] != "algorithm":
                given = {**needed, **beside.get(value, {}), one["Name"]: value}
                assert getattr(parse(kind, given), one["Name"]) == value


@each
def test_a_tunable_hyperparameter_has_a_range(name: str) -> None:
    tunable = [
        one for one in specification(name)["TrainingSpecification"]["SupportedHyperParameters"] if one["IsTunable"]
    ]
    assert tunable
    for one in tunable:
        assert one["Type"] in ("Integer", "Continuous", "Categorical") and one["Range"]


def samples(classes: int) -> dict[str, dict[str, bytes]]:
    """All channels of a regression, with numbers or with some classes."""
    made = {}
    for seed, channel in enumerate(("train", "validation", "test")):
        x, score = planted(40, seed)
        made[channel] = {"a.jsonl": samples_table(x, np.digitize(score, [2, 4][: classes - 1]) if classes else score)}
    return made


# The jobs that print all of an algorithm's metrics, beside its tiny one: what changes, and other data.
JOBS: dict[str, list[tuple[dict[str, str], dict[str, dict[str, bytes]] | None]]] = {
    "cp": [({"method": "lbfgs"}, None), ({"rank": "auto", "max_rank": "2"}, None)],
    "tensor-regression": [
        ({"rank": "auto"}, None),
        ({"solver": "adam", "epochs": "2"}, samples(0)),
        (BINARY, samples(2)),
        (SEVERAL, samples(3)),
    ],
}


def printed(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What each of an algorithm's jobs prints."""
    tiny = ALGORITHMS[name].tiny_job
    validated = None
    if "validation" in [channel.name for channel in ALGORITHMS[name].channels]:
        validated = {**tiny.channels(), "validation": tiny.channels()["test"]}
    outputs = []
    for number, (changes, data) in enumerate([({}, None), ({}, validated), *JOBS.get(name, [])]):
        algorithm, prepared = job({**tiny.hyperparameters, **changes}, folder / str(number), data or tiny.channels())
        algorithm.fit(prepared)
        outputs.append(capsys.readouterr().out)
    return outputs


@pytest.mark.slow
@each
def test_metric_definitions_match_what_jobs_print(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    definitions = specification(name)["TrainingSpecification"]["MetricDefinitions"]
    lines = "".join(printed(name, tmp_path, capsys)).splitlines()
    values = {
        one["Name"]: [match[1] for line in lines if (match := re.search(one["Regex"], line))] for one in definitions
    }
    assert all(values.values()), f"never printed: {[key for key, found in values.items() if not found]}"
    assert all(float(value) == float(value) for found in values.values() for value in found)
    for line in lines:
        if line.startswith("#quality_metric"):
            assert sum(bool(re.search(one["Regex"], line)) for one in definitions) == 1, line


@pytest.mark.slow
@each
def test_a_tuners_objective_is_printed_once(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By each job that has what it measures, and by one of them at least."""
    found = specification(name)["TrainingSpecification"]
    regexes = {one["Name"]: one["Regex"] for one in found["MetricDefinitions"]}
    outputs = printed(name, tmp_path, capsys)
    assert found["SupportedTuningJobObjectiveMetrics"]
    for objective in found["SupportedTuningJobObjectiveMetrics"]:
        counts = [len(re.findall(regexes[objective["MetricName"]], output)) for output in outputs]
        assert set(counts) in ({1}, {0, 1}), (objective["MetricName"], counts)
        assert objective["Type"] in ("Minimize", "Maximize")


@each
def test_channels_are_those_of_the_algorithm(name: str) -> None:
    channels = specification(name)["TrainingSpecification"]["TrainingChannels"]
    assert [one["Name"] for one in channels] == [spec.name for spec in ALGORITHMS[name].channels]
    assert channels[0]["Name"] == "train" and channels[0]["IsRequired"]
    pipes = ["Pipe" in one["SupportedInputModes"] for one in channels]
    assert pipes == [spec.pipes for spec in ALGORITHMS[name].channels]


@each
def test_the_table_has_a_row_a_hyperparameter(name: str) -> None:
    rows = table(ALGORITHMS[name]).splitlines()
    fields = ALGORITHMS[name].hyperparameters.model_fields
    assert rows[0] == "| name | default | allowed | what it is |"
    assert [row.split("|")[1].strip(" `") for row in rows[2:]] == list(fields)
    assert all(len(re.split(r"(?<!\\)\|", row)) == 6 for row in rows)
    for row, field in zip(rows[2:], fields.values(), strict=True):
        assert ("| required |" in row) == field.is_required()
