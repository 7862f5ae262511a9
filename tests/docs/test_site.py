"""The site: docstrings are shown as they are written, and a broken link or reference fails."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

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


GOOD = "[this page](index.md#index)"
BROKEN = """
[nowhere](nowhere.md)

[no such heading](index.md#no-such-heading)

```{eval-rst}
.. autofunction:: polyadic.errors.no_such_function
```
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "complaints"), [(GOOD, ()), (BROKEN, ("nowhere.md", "no-such-heading", "no_such_function"))]
)
def test_a_broken_link_or_reference_fails(text: str, complaints: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the extra `docs` is not installed")
    shutil.copy(ROOT / "docs" / "conf.py", tmp_path)
    (tmp_path / "index.md").write_text(f"# Index\n\n{text}\n")
    options = re.search(r"-m sphinx (.*) -d out/doctrees docs out/docs", (ROOT / "Makefile").read_text())
    assert options is not None
    command = [sys.executable, "-m", "sphinx", *options[1].split(), str(tmp_path), str(tmp_path / "out")]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (built.returncode != 0) == bool(complaints), built.stderr
    for complaint in complaints:
        assert complaint in built.stderr
