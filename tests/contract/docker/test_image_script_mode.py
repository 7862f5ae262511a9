"""Script mode: a user's own script runs in the image, with polyadic installed and the SM_* variables set."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.helpers.image_engine import Engine
from tests.helpers.image_jobs import lay_out, low_rank_tensor, made, write_tensor
from tests.helpers.image_sdk import Sdk

SCRIPT = """\
import argparse, json, os, pathlib
import polyadic

parser = argparse.ArgumentParser()
parser.add_argument("--greeting")
files = os.listdir(os.environ["SM_CHANNEL_TRAIN"])
answer = {"greeting": parser.parse_args().greeting, "files": files, "package": polyadic.__name__}
pathlib.Path(os.environ["SM_MODEL_DIR"], "answer.json").write_text(json.dumps(answer))
"""
EXPECTED = {"greeting": "hello", "files": ["tensor.npy"], "package": "polyadic"}


@pytest.mark.timeout(180, func_only=True)
def test_sdk2_entry_point(sdk2: Sdk, image: str, scratch: Path) -> None:
    (made(scratch / "source") / "mine.py").write_text(SCRIPT)
    sdk2.run(
        "sdk2_script_mode.py", image=image, hyperparameters={"greeting": "hello"},
        entry_point="mine.py", source_dir=str(scratch / "source"),
        channels={"train": str(write_tensor(scratch / "tensor", low_rank_tensor()))}, output=str(scratch / "output"),
    )  # fmt: skip
    with tarfile.open(scratch / "output" / "model.tar.gz") as archive:
        member = archive.extractfile("answer.json")
        assert member is not None and json.loads(member.read()) == EXPECTED


@pytest.mark.timeout(90, func_only=True)
def test_a_failing_script_fails_the_job(engine: Engine, image: str, scratch: Path) -> None:
    job = lay_out(scratch / "ml", {"sagemaker_program": "mine.py", "sagemaker_submit_directory": "/opt/ml/code"})
    (made(job.root / "code") / "mine.py").write_text("raise SystemExit('no such luck')\n")
    # The runner of sagemaker-training awaits an address of every host, its own too, for 15 minutes.
    container = engine.start(image, "train", options=["--hostname", "algo-1", *job.mount])
    assert container.wait(timeout=60) != 0, container.logs()
    assert "no such luck" in container.logs()
    failure = job.failure()
    assert failure is not None and "mine.py" in failure
