"""The site: docstrings are shown as they are written."""

from __future__ import annotations

import runpy

import pytest

from tests.docs.pages import ROOT


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        ("|X - Y| / |X|", r"\|X - Y\| / \|X\|"),
        ("X_(n) and 2 * 3", r"X\_(n) and 2 \* 3"),
        ("`world` holds `a_b`.", "``world`` holds ``a_b``."),
        ("a `b\nc` d", "a ``b\nc`` d"),
    ],
)
def test_a_docstring_is_shown_as_it_is_written(docstring: str, shown: str) -> None:
    settings = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    lines = docstring.split("\n")
    settings["plain_docstrings"](None, "function", "name", None, None, lines)
    assert lines == shown.split("\n")
