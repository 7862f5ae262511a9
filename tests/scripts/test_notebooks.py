"""The command that runs notebooks: what it keeps, and what it refuses."""

from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from scripts import notebooks


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notebook of one cell in an examples folder of its own."""
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "EXAMPLES", tmp_path)
    notebook = new_notebook(cells=[new_code_cell("print(6 * 7)", metadata={"tags": ["mine"]})])
    nbformat.write(notebook, tmp_path / "product.ipynb")
    return tmp_path / "product.ipynb"


@pytest.mark.slow
def test_outputs_are_kept_without_what_tells_of_the_machine(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The outputs of a run stay in the file, and of the metadata only what every machine would write."""
    notebooks.main([])
    notebook = nbformat.read(written, as_version=4)
    [cell] = notebook.cells
    assert [output.text for output in cell.outputs] == ["42\n"]
    assert (notebook.metadata, cell.metadata) == (notebooks.METADATA, {})
    assert capsys.readouterr().out == "product.ipynb: run, outputs kept\n"


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_file_as_it_was(written: Path) -> None:
    """The error goes to whoever called, and no half of a run is kept."""
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), written)
    before = written.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.main(["product"])
    assert written.read_bytes() == before


def test_an_unknown_name_is_refused_with_those_that_are_known(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is run."""
    with pytest.raises(SystemExit) as caught:
        notebooks.main(["quotient"])
    assert caught.value.code == 2
    assert "there is no notebook 'quotient'; known are product" in capsys.readouterr().err
