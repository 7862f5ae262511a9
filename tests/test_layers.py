"""The arrow of import points down the house, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "polyadic"
# From the bottom up; neighbours in one row never import one another.
ROWS = (
    {"errors", "devices", "options", "registry", "same_host"},
    {"distributed"},
    {"tensor.kernels"},
    {"tensor"},
    {"decomposition"},
    {"topics", "forecasting"},
    {"formats", "artifact"},
    {"jobs"},
    {"readers", "lowrank"},
    {"reports"},
    {"algorithms"},
    {"training", "serving"},
)
LEVEL = {name: level for level, row in enumerate(ROWS) for name in row}


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    return module.split(".")[1]


def points_down(here: str, there: str) -> bool:
    if there in ("", here):
        return True
    if "variants" in (here, there):
        return False
    return LEVEL[there] < LEVEL[here] if there in LEVEL else not (SOURCE / there).exists()


def violations(path: Path, here: str) -> list[str]:
    """The imports of a file that do not point down."""
    return [
        module for module in imports(path) if module.startswith("polyadic.") and not points_down(here, room(module))
    ]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    here = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if here in ("__init__", "__main__"):
        return
    assert here in LEVEL or here == "variants", f"{path} has no place in the house: add it to ROWS"
    assert violations(path, here) == []


def test_a_wrong_arrow_is_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from polyadic.forecasting import cells\nfrom polyadic import algorithms\nimport polyadic.serving.app"
    )
    assert violations(wrong, "decomposition") == [
        "polyadic.forecasting",
        "polyadic.forecasting.cells",
        "polyadic.algorithms",
        "polyadic.serving.app",
    ]
    assert violations(wrong, "serving") == []


@pytest.mark.parametrize("folder", ["scripts", "local_mode", "container"])
def test_the_container_is_reached_through_the_contract(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        inner = [module for module in imports(path) if module.split(".")[0] == "polyadic"]
        allowed = "bench" in path.parts or path.name == "gunicorn.conf.py"
        assert allowed or not inner, f"{path} imports {inner}"


@pytest.mark.parametrize("module", ["training.launcher", "training.environment", "serving.settings", "serving.app"])
def test_what_starts_first_is_light(module: str) -> None:
    """PID 1 installs its handler before torch is read; gunicorn's master never reads it."""
    import subprocess
    import sys

    code = f"import sys, polyadic.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
