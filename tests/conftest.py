"""How tests are spread over workers (pytest-xdist): those of a file stay together, and so do all those of the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

DOCKER = Path(__file__).parent / "contract" / "docker"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the image have their marker, and come first: they take longest."""
    for item in items:
        if DOCKER in item.path.parents:
            item.add_marker(pytest.mark.docker)
    items.sort(key=lambda item: DOCKER not in item.path.parents)


class ByFile(LoadScopeScheduling):
    """Tests of one file run on one worker, which makes their fixtures once; those of the image are like one file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "docker" if file.startswith("tests/contract/docker/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """The scheduler of a run on several workers."""
    return ByFile(config, log)
