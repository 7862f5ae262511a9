"""How tests are spread over workers (pytest-xdist): those of a file stay together, and so do all those of the image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch and numpy are imported: the other worker has the other core, and tests of threads set their own.
    os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TESTS = Path(__file__).parent
DOCKER = TESTS / "contract" / "docker"
IMAGE_SECONDS = 1800
"""The first test of the image builds it, and that of an SDK installs it."""
JOBS = {"algorithms", "contract", "docs", "examples", "local_mode", "reports", "training"}
"""Folders whose tests run whole jobs, servers or pictures: each takes seconds."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A folder of slow tests is not even imported where slow tests are left out."""
    inner = collection_path.relative_to(TESTS).parts if TESTS in collection_path.parents else ()
    return True if inner[:1] and inner[0] in JOBS and "not slow" in config.getoption("markexpr") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the image have their marker, and come first: they take longest. Those of jobs and of ranks are slow."""
    for item in items:
        if DOCKER in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(IMAGE_SECONDS))
        if item.path.relative_to(TESTS).parts[0] in JOBS or _starts_ranks(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: DOCKER not in item.path.parents)


def _starts_ranks(item: pytest.Item) -> bool:
    """Whether a test itself starts processes (tests/helpers/ranks.py), each of which imports torch."""
    return isinstance(item, pytest.Function) and "on_ranks" in item.function.__code__.co_names


class ByFile(LoadScopeScheduling):
    """Tests of one file run on one worker, which makes their fixtures once; those of the image are like one file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "docker" if file.startswith("tests/contract/docker/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """The scheduler of a run on several workers."""
    return ByFile(config, log)
