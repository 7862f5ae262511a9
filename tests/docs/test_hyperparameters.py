"""docs/hyperparameters.md and the README's table of algorithms say what the algorithms declare."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from polyadic.algorithms import ALGORITHMS
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    """What docs/hyperparameters.py defines."""
    return runpy.run_path(str(ROOT / "docs" / "hyperparameters.py"))


def test_the_page_is_current(generator: dict[str, Any]) -> None:
    assert generator["page"]() == (ROOT / "docs" / "hyperparameters.md").read_text(), (
        "run: python docs/hyperparameters.py"
    )


def test_the_readme_is_current(generator: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text()
    assert generator["with_algorithms"](readme) == readme, "run: python docs/hyperparameters.py"


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_page_names_every_hyperparameter(name: str, generator: dict[str, Any]) -> None:
    section = generator["page"]().split(f"## {name}\n")[1].split("\n## ")[0]
    for field in ALGORITHMS[name].hyperparameters.model_fields:
        assert f"| `{field}` |" in section


@pytest.mark.parametrize("table", ["", "old\n"])
def test_an_outdated_table_of_the_readme_is_rewritten(table: str, generator: dict[str, Any]) -> None:
    after = "<!-- end -->\nafter\n<!-- figures -->\n<!-- end -->\n"
    rewritten = generator["with_algorithms"](f"before\n<!-- table: algorithms -->\n{table}{after}")
    assert "old" not in rewritten and rewritten.startswith("before\n") and rewritten.endswith(after)
    assert all(rewritten.count(f"| `{name}` |") == 1 for name in ALGORITHMS)
