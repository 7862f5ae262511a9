"""Every notebook of examples/ runs as it stands, and holds the outputs of such a run."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from scripts.notebooks import EXAMPLES, METADATA, ROOT, notebooks, run

NAMES = ["ab_test", "decompositions", "forecasts", "regression", "topics"]
PATHS = [EXAMPLES / f"{name}.ipynb" for name in NAMES]
LARGEST_BYTES = 400_000
MACHINE = re.compile(r"/(?:home|root|tmp|work|Users|opt|usr|var)/|127\.0\.0\.1|\.venv")


def test_the_notebooks_are_those_that_the_readme_lists() -> None:
    """README names each notebook once, and no other."""
    listed = re.findall(r"\((\w+\.ipynb)\)", (EXAMPLES / "README.md").read_text())
    assert sorted(set(listed)) == [path.name for path in notebooks()] == [path.name for path in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_outputs_are_kept_and_tell_nothing_of_a_machine(path: Path) -> None:
    """Pictures and text are there; paths, warnings, errors and a machine's metadata are not."""
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < LARGEST_BYTES
    assert notebook.metadata == METADATA
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert pictures(notebook) >= 3
    assert text(notebook).strip()
    assert not MACHINE.search(text(notebook))
    assert not faults(notebook)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_notebook_opens_with_what_the_reader_will_see(path: Path) -> None:
    """A title, and a first sentence that tells it."""
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# \w.*\n\nYou will see ", first.source)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_notebook_finds_its_data_from_the_root_and_from_its_own_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that looks for the repository, executed in both folders; topics needs no file of the repository."""
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    lines = re.findall(r"^ROOT = .*$", code, flags=re.MULTILINE)
    assert len(lines) == int("ROOT" in code) == int(path.stem != "topics")
    for folder in (ROOT, EXAMPLES):
        monkeypatch.chdir(folder)
        names: dict[str, object] = {"Path": Path}
        for line in lines:
            exec(line, names)
            assert names["ROOT"] == ROOT


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("path", "folder"), list(zip(PATHS, [ROOT, EXAMPLES] * len(PATHS), strict=False)), ids=NAMES)
def test_a_notebook_runs(path: Path, folder: Path) -> None:
    """No cell fails or warns, and the run prints and draws as many things as the outputs that are kept."""
    kept, fresh = nbformat.read(path, as_version=4), run(path, folder)
    assert not faults(fresh)
    assert [kinds(cell) for cell in fresh.cells] == [kinds(cell) for cell in kept.cells]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def kinds(cell: NotebookNode) -> list[str]:
    return sorted({output.output_type for output in cell.get("outputs", [])})


def text(notebook: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in outputs(notebook))


def pictures(notebook: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def faults(notebook: NotebookNode) -> list[NotebookNode]:
    return [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
