"""Properties of a package: what the registry takes."""

import pytest

from scripts.registry.metadata import MOST_PROPERTIES, legal


@pytest.mark.parametrize("text", ["a", "s3://b/c_d.e-f=g+h@i", "Größe 10", "x" * 256])
def test_what_fits_stays(text: str) -> None:
    assert legal({"key": text}) == {"key": text}


@pytest.mark.parametrize("text", ["", "[1,2]", '"auto"', "a\tb", "x" * 257])
def test_what_does_not_fit_is_left_out(text: str) -> None:
    assert legal({"key": text, "other": "1"}) == {"other": "1"}


def test_keys_are_shorter() -> None:
    assert legal({"k" * 128: "1", "l" * 129: "2", "a,b": "3"}) == {"k" * 128: "1"}


def test_there_are_50_at_most_and_the_first_stay() -> None:
    properties = legal({f"key-{place}": "1" for place in range(60)})
    assert list(properties) == [f"key-{place}" for place in range(MOST_PROPERTIES)]
