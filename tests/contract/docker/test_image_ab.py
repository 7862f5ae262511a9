"""The rehearsal of an A/B test with the image: jobs, endpoint, shadow and split are containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.image_engine import Engine
from tests.local_mode.front_door.conftest import opened
from tests.local_mode.front_door.test_rehearsal import check, rehearse


@pytest.mark.timeout(600, func_only=True)
def test_an_ab_test_from_two_jobs_to_a_teardown(engine: Engine, image: str, scratch: Path) -> None:
    with opened(scratch / "state", scratch, "--image", image) as door:
        check(rehearse(door, scratch / "rehearsal"), scratch / "rehearsal", door)
