"""A contract test leaves no process behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.opt_ml import STARTED


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = len(STARTED)
    yield
    while len(STARTED) > before:
        process = STARTED.pop()
        process.kill()
        process.wait()
