"""A user's own script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from polyadic.errors import UserError
from polyadic.training import script_mode
from polyadic.training.environment import read_environment
from tests.helpers.opt_ml import OptMl


def test_asked_for_by_the_hyperparameter(tmp_path: Path) -> None:
    assert not script_mode.asked_for(read_environment(OptMl(tmp_path, {"rank": "2"}).environ))
    assert script_mode.asked_for(read_environment(OptMl(tmp_path, {"sagemaker_program": '"train.py"'}).environ))


def test_without_the_runner_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    here = read_environment(OptMl(tmp_path, {"sagemaker_program": "train.py"}).environ)
    with pytest.raises(UserError, match=r"use the image, or pip install 'polyadic\[container\]'"):
        script_mode.run(here, lambda: False)
