"""python -m scripts.notebooks [NAME ...]: runs the notebooks of examples/ and keeps their outputs in them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
CELL_SECONDS = 600
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebooks() -> list[Path]:
    """The notebooks of examples/, by name."""
    return sorted(EXAMPLES.glob("*.ipynb"))


def run(path: Path, folder: Path | None = None) -> NotebookNode:
    """The notebook with the outputs of a run in `folder`, or in the root, without what tells of the machine.

    Raises nbclient's CellExecutionError for a cell that fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder or ROOT)}},
    )
    client.execute()
    return without_machine(notebook)


def without_machine(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the metadata that every machine would write."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
    return notebook


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs every notebook, or those that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.notebooks",
        description="Runs the notebooks of examples/.",
        epilog="example: python -m scripts.notebooks topics",
    )
    known = {path.stem: path for path in notebooks()}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all without one")
    names = parser.parse_args(arguments).names or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"there is no notebook {unknown[0]!r}; known are {', '.join(known)}")
    for name in names:
        nbformat.write(run(known[name]), known[name])
        print(f"{known[name].relative_to(ROOT)}: run, outputs kept")


if __name__ == "__main__":
    main()
