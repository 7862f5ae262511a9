"""The arrows of import point down the house, never round in a circle, and never at another room's private names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "polyadic"
# From the bottom up; rooms in one row never import one another.
ROWS = (
    {"variants"},
    {"errors", "devices", "options", "registry", "same_host"},
    {"distributed", "room"},
    {"tensor.kernels"},
    {"tensor"},
    {"decomposition", "networks"},
    {"topics", "forecasting", "regression"},
    {"formats", "artifact"},
    {"jobs"},
    {"readers", "lowrank"},
    {"reports"},
    {"algorithms"},
    {"training", "serving"},
    {"trained"},
    {"__main__"},
)
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path, source: Path = SOURCE) -> str:
    """The dotted name of a file's module, without `polyadic.`; a package's is that of its folder."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module lies in."""
    return "tensor.kernels" if module.startswith("tensor.kernels") else module.split(".")[0]


def names_imported(path: Path) -> Iterator[str]:
    """Everything of polyadic that a file imports, wherever in it, as dotted names without `polyadic.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("polyadic.") for name in names if name.startswith("polyadic."))


def modules_imported(path: Path, known: Iterable[str]) -> set[str]:
    """The modules among those known that a file imports."""
    known = set(known)
    return {name if name in known else name.rpartition(".")[0] for name in names_imported(path)} & known


def wrong_arrows(path: Path, room: str) -> list[str]:
    """The imports of a file that point up, or sideways at a neighbour."""
    return [name for name in names_imported(path) if room_of(name) != room and not LEVEL[room_of(name)] < LEVEL[room]]


def private_imports(path: Path, room: str) -> list[str]:
    """The imports of another room's private modules or names."""
    return [
        name
        for name in names_imported(path)
        if room_of(name) != room and any(part.startswith("_") for part in name.split("."))
    ]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import one another in a circle, or none."""
    done: set[str] = set()

    def search(module: str, path: tuple[str, ...]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(graph[module] - {module}):
            if loop := search(imported, (*path, module)):
                return loop
        done.add(module)
        return []

    return next((loop for module in graph if (loop := search(module, ()))), [])


each = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))


@each
def test_imports_point_down(path: Path) -> None:
    room = room_of(module_of(path))
    if room == "":  # The package's own __init__, which imports nothing before it is asked to.
        at_once = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert {node.module for node in at_once if isinstance(node, ast.ImportFrom)} <= {"__future__", "typing"}
        assert len(at_once) == 2
        return
    assert room in LEVEL, f"{path} has no place in the house: add its room to ROWS"
    assert wrong_arrows(path, room) == []


@each
def test_no_file_imports_another_rooms_private_names(path: Path) -> None:
    assert private_imports(path, room_of(module_of(path))) == []


@pytest.mark.slow
def test_no_circle_of_files() -> None:
    modules = {module_of(path): path for path in FILES}
    assert circle({module: modules_imported(path, modules) for module, path in modules.items()}) == []


def test_the_comparison_of_variants_needs_no_other_room_and_no_other_needs_it() -> None:
    for path in FILES:
        rooms = {room_of(name) for name in names_imported(path)}
        assert "variants" not in rooms or room_of(module_of(path)) == "variants", path
        assert room_of(module_of(path)) != "variants" or rooms <= {"variants"}, path


def test_wrong_arrows_private_names_and_circles_are_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from polyadic.forecasting import cells\nfrom polyadic import algorithms\nimport polyadic.serving.app\n"
        "from polyadic.tensor._secret import a\nfrom polyadic.errors import _b\n"
    )
    assert wrong_arrows(wrong, "decomposition") == ["forecasting.cells", "algorithms", "serving.app"]
    assert wrong_arrows(wrong, "__main__") == []
    assert private_imports(wrong, "decomposition") == ["tensor._secret.a", "errors._b"]
    assert private_imports(wrong, "tensor") == ["errors._b"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("folder", ["scripts", "local_mode", "container"])
def test_the_container_is_reached_through_the_contract(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        allowed = {"bench", "load", "soak"} & set(path.parts) or path.name == "gunicorn.conf.py"
        inside = [name for name in names_imported(path) if room_of(name) != "variants"]  # It is a library of its own.
        assert allowed or not inside, f"{path} imports {inside}"


@pytest.mark.slow
@pytest.mark.parametrize("module", ["training.launcher", "training.environment", "serving.settings", "serving.app"])
def test_what_starts_first_is_light(module: str) -> None:
    """PID 1 installs its handler before torch is read; gunicorn's master never reads it."""
    code = f"import sys, polyadic.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
