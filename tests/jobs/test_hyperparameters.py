"""Hyperparameter strings of every producer, and what is said of those that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polyadic.algorithms import ALGORITHMS
from polyadic.errors import UserError
from polyadic.jobs.hyperparameters import Hyperparameters, allowed, bare, is_foreign, parse
from polyadic.options import option


class Every(Hyperparameters):
    """A field of each type."""

    whole: int = option("a whole number", 1)
    real: float = option("a real number", 1.0)
    flag: bool = option("a flag", False)
    reals: list[float] = option("some numbers", [0.5])
    choice: Literal["student-T", "gaussian"] = option("a choice", "gaussian")
    text: str = option("a text", "")
    patience: int | None = option("a number or nothing", 3)


class Bounded(Hyperparameters):
    """A field of each bound."""

    needed: int = option("what cannot be guessed")
    positive: float = option("a rate", 1.0, gt=0)
    share: float = option("a share", 0.5, ge=0, lt=1)
    count: int = option("a count", 5, ge=1, le=100)
    flag: bool = option("a flag", False)
    kind: Literal["tt-lstm", "lstm"] = option("a kind", "lstm")
    levels: list[float] = option("levels", [0.5])
    patience: int | None = option("epochs", None, ge=1)
    name: str = option("a name", "")


def generic_estimator(value: object) -> str:
    """SDK 2's Estimator(image_uri): str()."""
    return str(value)


def with_entry_point(value: object) -> str:
    """SDK 2 with entry_point, and its framework estimators: JSON, texts too."""
    return json.dumps(value)


def model_trainer(value: object) -> str:
    """SDK 3: JSON, texts as they are."""
    return value if isinstance(value, str) else json.dumps(value)


def twice(value: object) -> str:
    """JSON within a JSON text, of wrappers around the SDK."""
    return json.dumps(json.dumps(value))


def padded(value: object) -> str:
    """As a person types it into the console."""
    return f"  {model_trainer(value)} "


PRODUCERS: list[Callable[[Any], str]] = [generic_estimator, with_entry_point, model_trainer, twice, padded]
each_producer = pytest.mark.parametrize("write", PRODUCERS)

# Table 1.3 of the contract: what a producer writes for a value.
TABLE = [
    *[("whole", text, 5) for text in ("5", '"5"', '"\\"5\\""', "5.0", "5e0", " 5 ", "+5")],
    ("whole", "9007199254740993", 2**53 + 1),
    *[("real", text, 1e-8) for text in ("1e-8", "1e-08", "1E-8", '"1e-08"', "0.00000001")],
    *[("flag", text, True) for text in ("True", "true", "TRUE", "1", '"True"', '"true"')],
    *[("flag", text, False) for text in ("False", "false", "0", '"false"')],
    *[("reals", text, [1, 2]) for text in ("[1, 2]", "[1,2]", '"[1, 2]"', "1,2", "(1, 2)", '["1", "2"]', "[1.0, 2.0]")],
    *[("choice", text, "student-T") for text in ("student-T", '"student-T"', "Student-t", '"\\"STUDENT-T\\""')],
    *[("text", text, "5min") for text in ("5min", '"5min"', " 5min ")],
    *[("patience", text, None) for text in ("", '""', "null", "None", "  ")],
    *[("patience", text, 40) for text in ("40", '"40"', "40.0")],
]


@pytest.mark.parametrize(("name", "text", "expected"), TABLE)
def test_the_table_of_producers(name: str, text: str, expected: object) -> None:
    found = getattr(parse(Every, {name: text}), name)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("whole", 5), ("whole", 5.0), ("real", 0.5), ("real", 1), ("flag", True), ("reals", [1, 2]), ("patience", None)],
)
def test_values_that_are_no_strings_are_taken_too(name: str, value: object) -> None:
    assert getattr(parse(Every, {name: value}), name) == value


plain_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"])).filter(
    lambda text: not text.startswith('"') and not text.endswith('"')
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**63), 2**63),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "reals": st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
    "choice": st.sampled_from(["student-T", "gaussian"]),
    "text": plain_text,
    "patience": st.none() | st.integers(0, 1000),
}


def test_every_field_has_values_to_try() -> None:
    assert VALUES.keys() == Every.model_fields.keys()


@each_producer
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_typed_value_comes_back_from_every_producer(write: Callable[[Any], str], data: st.DataObject) -> None:
    expected = {name: data.draw(values) for name, values in VALUES.items()}
    # Nothing is written as DeepAR's documentation has it, as an empty text.
    written = {name: write("" if value is None else value) for name, value in expected.items()}
    found = parse(Every, written)
    assert found.model_dump() == expected


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Bounded.model_fields, "other"]), st.text() | st.integers() | st.none() | plain_text
    )
)
def test_whatever_is_written_a_fault_is_the_users(raw: dict[str, object]) -> None:
    try:
        assert isinstance(parse(Bounded, raw), Bounded)
    except UserError as error:
        assert "hyperparameter" in str(error)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.integers(0, 2))
def test_two_layers_of_quoting_come_off(text: str, layers: int) -> None:
    assume(not (text.strip().startswith('"') and text.strip().endswith('"')) and text == text.strip())
    quoted = text
    for _ in range(layers):
        quoted = json.dumps(quoted)
    assert bare(quoted) == text


@pytest.mark.parametrize("value", [5, None, 1.5, ["a"], '"', '"unended', 'a "quoted" word', '"a" and "b"'])
def test_what_is_not_quoted_stays(value: object) -> None:
    assert bare(value) == value


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "hyperparameter needed is missing: it must be an integer (what cannot be guessed)"),
        ({"needed": "many"}, "hyperparameter needed is 'many': it must be an integer"),
        ({"needed": "1.5"}, "hyperparameter needed is '1.5': it must be an integer"),
        ({"needed": ""}, "hyperparameter needed is '': it must be an integer"),
        ({"needed": "nan"}, "hyperparameter needed is 'nan': it must be an integer"),
        ({"needed": "inf"}, "hyperparameter needed is 'inf': it must be an integer"),
        ({"positive": "0"}, "hyperparameter positive is '0': it must be a number, more than 0"),
        ({"positive": "inf"}, "hyperparameter positive is 'inf': it must be a number, more than 0"),
        ({"positive": "nan"}, "hyperparameter positive is 'nan': it must be a number, more than 0"),
        ({"positive": "fast"}, "hyperparameter positive is 'fast': it must be a number, more than 0"),
        ({"share": "1"}, "hyperparameter share is '1': it must be a number, 0 or more and less than 1"),
        ({"share": "-0.1"}, "hyperparameter share is '-0.1': it must be a number, 0 or more and less than 1"),
        ({"count": "0"}, "hyperparameter count is 0: it must be an integer, 1 or more and 100 at most"),
        ({"count": "101"}, "hyperparameter count is 101: it must be an integer, 1 or more and 100 at most"),
        ({"flag": "maybe"}, "hyperparameter flag is 'maybe': it must be true or false"),
        ({"kind": "gru"}, "hyperparameter kind is 'gru': it must be tt-lstm or lstm"),
        ({"levels": "a,b"}, "it must be a list such as [0.1, 0.5, 0.9]"),
        ({"levels": "0.1;0.5"}, "it must be a list such as [0.1, 0.5, 0.9]"),
        ({"patience": "0"}, "hyperparameter patience is 0: it must be an integer, 1 or more, or empty"),
        ({"name": ["a"]}, "hyperparameter name is ['a']: it must be a text"),
        (
            {"conut": "5"},
            "unknown hyperparameter 'conut': did you mean 'count'? Known are needed, positive, share, count",
        ),
        ({"COUNT": "5"}, "unknown hyperparameter 'COUNT': did you mean 'count'?"),
        ({"zzz": "5"}, "unknown hyperparameter 'zzz': known are needed, positive"),
    ],
)
def test_a_fault_says_what_was_got_and_what_is_allowed(raw: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(Bounded, {"needed": "1", **raw} if raw else raw)
    assert message in str(caught.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(UserError) as caught:
        parse(Bounded, {"conut": "5", "share": "2", "kind": "gru"})
    for fault in ("'conut'", "share is '2'", "kind is 'gru'", "needed is missing"):
        assert fault in str(caught.value)


def test_values_are_frozen() -> None:
    value = parse(Every, {})
    with pytest.raises(ValueError, match="frozen"):
        value.whole = 2


@pytest.mark.parametrize(
    ("key", "foreign"),
    [
        ("_tuning_objective_metric", True),
        ("_kvstore", True),
        ("_num_gpus", True),
        ("_0_long", True),
        ("sagemaker_program", True),
        ("sagemaker_job_name", True),
        ("rank", False),
        ("sagemaker", False),
    ],
)
def test_the_platforms_keys_are_told_from_the_jobs(key: str, foreign: bool) -> None:
    assert is_foreign(key) is foreign


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_hyperparameter_says_what_it_is_and_what_is_allowed(name: str) -> None:
    for field in ALGORITHMS[name].hyperparameters.model_fields.values():
        assert field.description and allowed(field)


class Sizes(Hyperparameters):
    """A list of whole numbers."""

    ranks: list[int] | None = option("whole numbers", None)


@pytest.mark.parametrize(
    "text", ["[20, 5]", '"[20, 5]"', "20,5", "(20, 5)", '["20", "5"]', "[20.0, 5e0]", " [20,5] ", [20, 5], "[2e1, 5]"]
)
def test_a_list_of_whole_numbers_is_read_from_every_producer(text: object) -> None:
    assert parse(Sizes, {"ranks": text}).ranks == [20, 5]


def test_a_list_may_be_empty_or_absent() -> None:
    assert parse(Sizes, {"ranks": "[]"}).ranks == []
    assert parse(Sizes, {"ranks": ""}).ranks is None


@pytest.mark.parametrize("text", ["[20, 2.5]", "[true]", "[null]", "20", "a,b", "[[1]]", '{"a": 1}', [2.5]])
def test_what_is_no_list_of_whole_numbers_is_refused(text: object) -> None:
    with pytest.raises(UserError, match=r"it must be a list such as \[20, 20, 5\], or empty"):
        parse(Sizes, {"ranks": text})
