"""The README says what the schema says, and names what is there. `python tests/test_readme.py` rewrites its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyadic import algorithms
from polyadic.jobs import schema as _schema

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TABLE = re.compile(r"<!-- table: ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


@pytest.mark.parametrize("name", sorted(algorithms.algorithms()))
def test_the_hyperparameters_are_the_schema_s(name: str) -> None:
    tables = dict(TABLE.findall(README.read_text()))
    assert tables[name].strip() == _schema.table(algorithms.named(name))


def test_the_tree_names_what_is_there() -> None:
    tree = README.read_text().split("## The tree")[1].split("```")[1]
    folder = ROOT
    for line in filter(None, tree.splitlines()):
        if line.startswith("    "):  # The rest of a description.
            continue
        name = line.split()[0]
        folder = ROOT / "src" / "polyadic" if line.startswith("  ") else ROOT
        assert (folder / name).exists(), name


def test_every_command_exists() -> None:
    for module in re.findall(r"python -m ((?:scripts|local_mode)(?:\.\w+)*)", README.read_text()):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


if __name__ == "__main__":
    text = README.read_text()
    README.write_text(
        TABLE.sub(lambda m: f"<!-- table: {m[1]} -->\n{_schema.table(algorithms.named(m[1]))}\n<!-- end -->", text)
    )
