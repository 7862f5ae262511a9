"""Ranges of --tune: each form, each mistake, and what the schema of each algorithm lets be tuned."""

from typing import Any

import pytest

from scripts.aws import Invalid, UsageError
from scripts.schema import training_specification
from scripts.tuning.ranges import Tuned, example, parameter_ranges, tunable, tuned


def entry(name: str, kind: str, low: str, high: str, is_tunable: bool = True) -> dict[str, Any]:
    """A hyperparameter of a schema."""
    limits = {f"{kind}ParameterRangeSpecification": {"MinValue": low, "MaxValue": high}}
    return {"Name": name, "Type": kind, "IsTunable": is_tunable, "Range": limits}


METHODS = {"CategoricalParameterRangeSpecification": {"Values": ["als", "hals"]}}
SPECIFICATION = {
    "SupportedHyperParameters": [
        entry("rank", "Integer", "1", "100"),
        entry("tol", "Continuous", "0", "1"),
        entry("seed", "Integer", "0", "100", is_tunable=False),
        {"Name": "method", "Type": "Categorical", "IsTunable": True, "Range": METHODS},
    ]
}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("rank=2:20", Tuned("rank", ("2", "20"))),
        ("tol=1e-8:1e-2:log", Tuned("tol", ("1e-8", "1e-2"), log=True)),
        ("rank=4,8,8,16", Tuned("rank", values=("4", "8", "16"))),
    ],
)
def test_each_form_is_read(text: str, read: Tuned) -> None:
    assert tuned(text) == read


@pytest.mark.parametrize("text", ["rank", "rank=", "rank=4", "=1:2", "rank=1:2:lin", "rank=1:2:log:log", "rank=1,,2"])
def test_another_form_is_told_the_forms(text: str) -> None:
    with pytest.raises(Invalid, match="allowed is NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C, such as rank=2:20"):
        tuned(text)


def test_ranges_are_grouped_by_their_types() -> None:
    wanted = [tuned(text) for text in ("rank=2:20", "tol=0.001:1:log", "method=als,hals")]
    assert parameter_ranges(wanted, SPECIFICATION) == {
        "IntegerParameterRanges": [{"Name": "rank", "MinValue": "2", "MaxValue": "20", "ScalingType": "Auto"}],
        "ContinuousParameterRanges": [
            {"Name": "tol", "MinValue": "0.001", "MaxValue": "1", "ScalingType": "Logarithmic"}
        ],
        "CategoricalParameterRanges": [{"Name": "method", "Values": ["als", "hals"]}],
    }


def test_listed_numbers_are_choices() -> None:
    assert parameter_ranges([tuned("rank=4,8")], SPECIFICATION) == {
        "CategoricalParameterRanges": [{"Name": "rank", "Values": ["4", "8"]}]
    }


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["rnk=1:2"], "unknown hyperparameter 'rnk' to tune; did you mean 'rank'? known are"),
        (["seed=1:2"], "hyperparameter 'seed' is not one to tune; tunable are method, rank, tol"),
        (["rank=1:2", "rank=3,4"], "hyperparameter 'rank' is to be tuned twice; give it one --tune"),
        (["rank=0:5"], "hyperparameter 'rank': got '0'; allowed is a whole number from 1 to 100"),
        (["rank=1:101"], "hyperparameter 'rank': got '101'; allowed is a whole number from 1 to 100"),
        (["rank=1.5:3"], "hyperparameter 'rank': got '1.5'; allowed is a whole number"),
        (["rank=4,many"], "hyperparameter 'rank': got 'many'; allowed is a whole number"),
        (["tol=nan:1"], "hyperparameter 'tol': got 'nan'; allowed is a number from 0 to 1"),
        (["rank=9:9"], "--tune rank goes from 9 to 9; give the lower end first"),
        (["tol=0:1:log"], "--tune tol begins at 0; a logarithmic range begins above 0"),
        (["method=als:hals"], "hyperparameter 'method' has no order; list values, as --tune method=A,B"),
        (["method=als,sgd"], "hyperparameter 'method': got 'sgd'; allowed are als, hals"),
        (["rank=" + ",".join(map(str, range(1, 33)))], "--tune rank has 32 values; SageMaker takes 30"),
        ([f"r{place}=1:2" for place in range(31)], "got 31 hyperparameters to tune; SageMaker takes 30 at most"),
    ],
)
def test_a_wrong_range_is_named(texts: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parameter_ranges([tuned(text) for text in texts], SPECIFICATION)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"rank": "10"}, "--tune rank=5:20"),
        ({"rank": "1"}, "--tune rank=1:2"),
        ({"rank": "auto"}, "--tune rank=2:8"),
        ({"tol": "0.01"}, "--tune tol=0.001:0.1:log"),
        ({}, "--tune rank=2:8"),
    ],
)
def test_an_example_is_around_the_recipe_s_value(given: dict[str, str], text: str) -> None:
    assert example(SPECIFICATION, given) == text
    assert tuned(text.removeprefix("--tune "))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["cp", "tucker", "tensor-train", "lda", "forecaster"])
def test_every_algorithm_has_something_to_tune_and_an_example_that_works(algorithm: str) -> None:
    specification = training_specification(algorithm)
    assert tunable(specification) and specification["SupportedTuningJobObjectiveMetrics"]
    text = example(specification, {}).removeprefix("--tune ")
    assert parameter_ranges([tuned(text)], specification)
