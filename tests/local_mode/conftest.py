import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # local_mode is run from the repository and never installed
    sys.path.insert(0, str(ROOT))

STANDIN = Path(__file__).parent / "standin"


@pytest.fixture(scope="session")
def standin() -> Path:
    """Folder of a `train` and a `serve` that speak the contract in a few lines."""
    return STANDIN


def make_archive(folder: Path, **model: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(model))
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        tar.add(folder / "model.json", arcname="model.json")
    return folder / "model.tar.gz"


@pytest.fixture(scope="session")
def archive() -> Callable[..., Path]:
    """archive(folder, **model) writes a model.tar.gz that the stand-in can serve."""
    return make_archive


def marked_processes(mark: str) -> list[str]:
    """Command lines of the living processes whose environment holds the mark."""
    command_lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    command_lines.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
    return command_lines


@pytest.fixture
def no_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Gives a function that lists this test's living children; fails if any outlives the test."""
    mark = f"LOCAL_MODE_TEST={tmp_path}"
    monkeypatch.setenv("LOCAL_MODE_TEST", str(tmp_path))
    yield lambda: marked_processes(mark)
    assert marked_processes(mark) == []
