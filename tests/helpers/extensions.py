"""A new member of a family, written into a folder of its own, as a newcomer's file beside the others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def member_of(package_name: str, name: str, text: str, folder: Path) -> Iterator[None]:
    """While this lasts, the package has a module of this name and text, which lies in the folder."""
    package = importlib.import_module(package_name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        importlib.invalidate_caches()
        yield
    sys.modules.pop(f"{package_name}.{name}", None)
    vars(package).pop(name, None)
