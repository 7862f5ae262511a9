"""What a job does for an algorithm: boundaries, snapshots, lines, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from polyadic.distributed import World
from polyadic.jobs.checkpoints import Snapshot
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_jobs import Kept


def job(world: World | None = None, **given: Any) -> Job[Any]:
    standard = {"channels": {}, "checkpoints": Kept()}
    return Job(algorithm="cp", hyperparameters=Hyperparameters(), world=world or World.alone(), **{**standard, **given})


def kept_and_resumed(world: World) -> tuple[int, int | None]:
    """How many snapshots a rank keeps, and the step that it resumes from."""
    checkpoints = Kept()
    here = job(world, checkpoints=checkpoints)
    here.keep(Snapshot(7, {}, {}))
    snapshot = here.resume()
    return len(checkpoints.snapshots), snapshot.step if snapshot else None


def test_rank_0_keeps_the_snapshot_and_every_rank_resumes_from_it() -> None:
    assert kept_and_resumed(World.alone()) == (1, 7)
    assert on_ranks(2, kept_and_resumed) == [(1, 7), (0, 7)]


def test_without_a_snapshot_there_is_nothing_to_resume() -> None:
    assert job().resume() is None


def stop_on_rank_1(world: World) -> tuple[bool, bool]:
    boundary = job(world, stop_requested=lambda: world.rank == 1).boundary(1)
    return boundary.stop, boundary.save


def test_what_one_rank_is_told_all_ranks_do() -> None:
    assert on_ranks(2, stop_on_rank_1) == [(True, True)] * 2
    assert job(dry_run=True).boundary(1).stop
    assert not job().boundary(1).stop


class Drawn:
    """Scalars in memory."""

    def __init__(self) -> None:
        self.values: list[tuple[str, float, dict[str, int]]] = []

    def record(self, name: str, value: float, where: Mapping[str, int]) -> None:
        self.values.append((name, value, dict(where)))


def test_a_metric_is_a_line_and_a_scalar(capsys: pytest.CaptureFixture[str]) -> None:
    scalars = Drawn()
    job(scalars=scalars, host="algo-2").metric("train loss", 0.5, {"epoch": 3})
    assert capsys.readouterr().out == "#quality_metric: host=algo-2, epoch=3, train loss <loss>=0.5\n"
    assert scalars.values == [("train loss", 0.5, {"epoch": 3})]


@pytest.mark.parametrize(("stream", "write"), [("stdout", Job.line), ("stderr", Job.note)])
def test_a_line_is_written_whole(stream: str, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unbuffered, each piece is a write of its own, and a line of the other stream may come between two."""
    pieces = list[str]()

    class Stream:
        def write(self, text: str) -> None:
            pieces.append(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(f"sys.{stream}", Stream())
    write(job(), "a line")
    assert [piece for piece in pieces if piece] == ["a line\n"]
