"""Fixtures: the engine, the image, the two SDKs; every container and network that a test makes goes with the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.image_engine import Engine, docker, remove_mounting, why_no_engine
from tests.helpers.image_sdk import REPOSITORY, Sdk, sdk_python

BUILT_IMAGE = "polyadic:test"


@pytest.fixture(scope="session")
def _engine_answers() -> None:
    reason = why_no_engine()
    if reason is None:
        return
    if os.environ.get("POLYADIC_REQUIRE_DOCKER") == "1":
        pytest.fail(f"POLYADIC_REQUIRE_DOCKER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def image(_engine_answers: None) -> str:
    """The image under test: POLYADIC_IMAGE, or one built here."""
    named = os.environ.get("POLYADIC_IMAGE")
    if named is None:
        build_image(BUILT_IMAGE)
    elif docker("image", "inspect", named, check=False).returncode:
        pytest.fail(f"POLYADIC_IMAGE={named} is no image of this engine; build it, or leave POLYADIC_IMAGE unset")
    return named or BUILT_IMAGE


def build_image(name: str) -> None:
    """Build by the Makefile's own target, with this machine's wheels where it has a folder of them."""
    wheels = [place for place in os.environ.get("PIP_FIND_LINKS", "").split() if Path(place).is_dir()]
    command = ["make", "image", f"IMAGE={name}", *(f"WHEELS={folder}" for folder in wheels[:1])]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{(result.stdout + result.stderr)[-8000:]}", pytrace=False)


@pytest.fixture
def engine(_engine_answers: None) -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.remove_all()


@pytest.fixture
def scratch(image: str, tmp_path: Path) -> Iterator[Path]:
    """A folder to mount into containers, which go with it; they write as root, so one also makes it removable again."""
    yield tmp_path
    remove_mounting(tmp_path)
    if os.geteuid() != 0:
        docker("run", "--rm", "--volume", f"{tmp_path}:/scratch", image, "chmod", "-R", "a+rwX", "/scratch")


@pytest.fixture(scope="session")
def _sdk2_python(_engine_answers: None) -> Path:
    return sdk_python(2)


@pytest.fixture(scope="session")
def _sdk3_python(_engine_answers: None) -> Path:
    return sdk_python(3)


@pytest.fixture
def sdk2(_sdk2_python: Path, scratch: Path) -> Sdk:
    return Sdk(_sdk2_python, scratch)


@pytest.fixture
def sdk3(_sdk3_python: Path, scratch: Path) -> Sdk:
    return Sdk(_sdk3_python, scratch)
