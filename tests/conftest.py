"""How tests are spread over workers (pytest-xdist): those of a file stay together, and so do those of the image."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCKER = HERE / "contract" / "docker"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the image come first, on one worker, which builds it once; those of another file share its fixtures."""
    for item in items:
        docker = DOCKER in item.path.parents
        if docker:
            item.add_marker(pytest.mark.docker)
        group = "docker" if docker else item.path.relative_to(HERE).as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: DOCKER not in item.path.parents)
