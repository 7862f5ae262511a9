"""SIGTERM and SIGKILL in mid-training: what is left, and what a second start makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.image_engine import Engine
from tests.helpers.image_jobs import FORECASTER, OptMl, lay_out, write_series

EPOCHS = 24
LONG = FORECASTER | {"epochs": str(EPOCHS)}


def prepared(root: Path) -> OptMl:
    job = lay_out(root, LONG)
    write_series(job.channel("train"), count=8, length=200)
    return job


@pytest.fixture(scope="module")
def uninterrupted(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OptMl]:
    """The same job, never interrupted."""
    engine, job = Engine(), prepared(tmp_path_factory.mktemp("uninterrupted"))
    try:
        container = engine.start(image, "train", options=job.mount)
        assert container.wait(timeout=120) == 0, container.logs()
        yield job
    finally:
        engine.remove_all()


def assert_same_model(one: OptMl, other: OptMl) -> None:
    left, right = one.tensors(), other.tensors()
    assert left.keys() == right.keys() and left
    for name, value in left.items():
        assert value.shape == right[name].shape and value.tobytes() == right[name].tobytes(), name


def resume(engine: Engine, image: str, job: OptMl) -> str:
    """Start the job again on its checkpoints; returns the log of this second start."""
    container = engine.start(image, "train", options=job.mount)
    assert container.wait(timeout=120) == 0, container.logs()
    return container.logs()


@pytest.mark.timeout(300, func_only=True)
def test_docker_stop_saves_the_model_and_a_second_start_resumes(
    engine: Engine, image: str, scratch: Path, uninterrupted: OptMl
) -> None:
    job = prepared(scratch / "ml")
    container = engine.start(image, "train", options=job.mount)
    container.wait_for_line("epoch=3,", timeout=90)
    seconds = container.stop(grace_seconds=120)
    first = container.logs()
    assert container.wait(timeout=10) == 0, first
    assert seconds < 120
    assert f"epoch={EPOCHS - 1}," not in first, "the training ended before it was stopped"
    assert job.tensors() and (job.model / "model.json").exists()

    second = resume(engine, image, job)
    assert "resum" in second.lower(), second
    assert "epoch=0," not in second
    assert f"epoch={EPOCHS - 1}," in second
    assert_same_model(job, uninterrupted)


@pytest.mark.timeout(300, func_only=True)
def test_a_killed_job_ends_with_the_weights_of_one_never_killed(
    engine: Engine, image: str, scratch: Path, uninterrupted: OptMl
) -> None:
    job = prepared(scratch / "ml")
    container = engine.start(image, "train", options=job.mount)
    container.wait_for_line("epoch=5,", timeout=90)
    assert list((job.root / "checkpoints").iterdir()), "nothing to resume from"
    container.kill()
    assert container.wait(timeout=10) == 137
    assert not list(job.model.iterdir()), "killed after the end: nothing was interrupted"

    second = resume(engine, image, job)
    assert "epoch=0," not in second
    assert f"epoch={EPOCHS - 1}," in second
    assert_same_model(job, uninterrupted)
