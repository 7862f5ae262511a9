"""The table of before and after: every difference has a line, and only a loss asks."""

from dataclasses import replace

import pytest

from scripts.hosting.changes import Row, compare, confirm
from scripts.hosting.fleet import Fleet, Served


def served(name: str, weight: float = 1.0) -> Served:
    """A variant of one instance."""
    return Served(name, weight, "ml.m5.large", 1, "image", f"s3://bucket/{name}.tar.gz")


CAPTURE = {"InitialSamplingPercentage": 10, "DestinationS3Uri": "s3://bucket/c"}
TWO = Fleet({"A": served("A", 0.9), "B": served("B", 0.1)}, None, CAPTURE)
ONE = Fleet({"A": served("A")}, served("S", 0.5))


def test_nothing_differs_from_itself() -> None:
    assert compare(TWO, TWO) == []
    single = replace(TWO, variants={"A": served("A", 0.8999999761581421), "B": served("B", 0.10000000149011612)})
    assert compare(single, TWO) == []  # as AWS tells the weights


def test_a_variant_that_goes_and_one_that_comes() -> None:
    fleet = replace(TWO, variants={"A": served("A", 0.9), "C": served("C", 0.1)})
    assert compare(TWO, fleet) == [
        Row("variant B", "0.1 (10.0%)", "-"),
        Row("variant C", "-", "0.1 (10.0%)", loses=False),
    ]


def test_a_variant_that_comes_takes_traffic() -> None:
    fleet = replace(ONE, variants={"A": served("A"), "B": served("B")})
    assert compare(ONE, fleet)[0] == Row("A: weight", "1 (100.0%)", "1 (50.0%)")
    silent = replace(ONE, variants={"A": served("A"), "B": served("B", 0.0)})
    assert compare(ONE, silent) == [Row("variant B", "-", "0 (0.0%)", loses=False)]


def test_another_model_is_shown_and_loses_nothing() -> None:
    fleet = replace(ONE, variants={"A": replace(served("A"), artifact="s3://bucket/new.tar.gz")})
    assert compare(ONE, fleet) == [Row("A: model", "s3://bucket/A.tar.gz", "s3://bucket/new.tar.gz", loses=False)]


def test_capture_and_alarms() -> None:
    off = replace(TWO, capture=None)
    assert compare(TWO, off) == [Row("capture", "10 % to s3://bucket/c", "-")]
    assert compare(off, TWO) == [Row("capture", "-", "10 % to s3://bucket/c", loses=False)]
    assert compare(replace(TWO, alarms=("a", "b")), TWO) == [Row("alarms", "a, b", "-")]


def test_shadows() -> None:
    gone = replace(ONE, shadow=None)
    assert compare(ONE, gone) == [Row("shadow", "S, 50.0% of the requests", "-")]
    assert compare(gone, ONE) == [Row("shadow", "-", "S, 50.0% of the requests", loses=False)]
    other = replace(ONE, shadow=served("T", 0.5))
    assert compare(ONE, other) == [Row("shadow", "S, 50.0% of the requests", "T, 50.0% of the requests")]
    more = replace(ONE, shadow=replace(served("S", 1.0), instance_count=2))
    assert compare(ONE, more) == [
        Row("shadow S: share", "50.0%", "100.0%"),
        Row("shadow S: instances", "1 x ml.m5.large", "2 x ml.m5.large"),
    ]


def test_the_table_has_columns(capsys: pytest.CaptureFixture[str]) -> None:
    confirm([Row("variant B", "0.1 (10.0%)", "-"), Row("C", "-", "1", loses=False)], agreed=True)
    assert capsys.readouterr().out == (
        "           before       after\nvariant B  0.1 (10.0%)  -\nC          -            1\n"
    )


def test_where_nothing_is_lost_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail("asked"))
    confirm([], agreed=False)
    confirm([Row("variant C", "-", "1", loses=False)], agreed=False)
