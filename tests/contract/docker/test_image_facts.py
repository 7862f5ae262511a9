"""What the image itself promises to SageMaker and to the SDKs."""

import json
from typing import Any

import pytest

from tests.helpers.image_engine import Engine, docker

GIGABYTE = 10**9

pytestmark = pytest.mark.timeout(60, func_only=True)


@pytest.fixture(scope="module")
def facts(image: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(docker("image", "inspect", image).stdout)[0]
    return described


def printed(engine: Engine, image: str, *command: str) -> str:
    code, text = engine.run(image, *command)
    assert code == 0, text
    return text


def test_no_entrypoint_and_train_by_default(facts: dict[str, Any]) -> None:
    assert not facts["Config"]["Entrypoint"]
    assert facts["Config"]["Cmd"] == ["train"]


def test_root_user_and_labels(facts: dict[str, Any]) -> None:
    labels = facts["Config"]["Labels"]
    assert facts["Config"]["User"] in ("", "root")
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    assert labels["org.opencontainers.image.title"] == "polyadic"


def test_cpu_image_is_small(engine: Engine, image: str, facts: dict[str, Any]) -> None:
    if "+cpu" not in printed(engine, image, "python", "-c", "import torch; print(torch.__version__)"):
        pytest.skip("this image holds a CUDA build of torch; the limit is the CPU image's")
    assert facts["Size"] < 2.2 * GIGABYTE
    assert "nvidia" not in printed(engine, image, "pip", "list").lower()


def test_train_and_serve_are_ours(engine: Engine, image: str) -> None:
    for program in ("train", "serve"):
        assert printed(engine, image, "sh", "-c", f"command -v {program}") == f"/opt/program/{program}"


@pytest.mark.parametrize("python", ["python", "python3"])
def test_every_python_holds_polyadic_unbuffered(engine: Engine, image: str, python: str) -> None:
    script = "import os, polyadic, sagemaker_training; print(os.environ['PYTHONUNBUFFERED'])"
    assert printed(engine, image, python, "-c", script) == "1"


def test_train_with_nothing_mounted_says_what_is_missing(engine: Engine, image: str) -> None:
    code, text = engine.run(image, "train")
    assert code != 0
    assert "hyperparameter" in text
    assert "Traceback" not in text


def test_any_other_command_runs(engine: Engine, image: str) -> None:
    assert printed(engine, image, "chmod", "--version").startswith("chmod")
