"""A new algorithm is one package: put into the folder, it is trained, written down, served and documented."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from polyadic import __main__ as command_line
from polyadic import algorithms
from polyadic.algorithms import ALGORITHMS, choose
from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.schema import table, training_specification
from tests.helpers.ranks import on_ranks
from tests.helpers.serving import ready_client
from tests.helpers.tiny_jobs import job, train

PACKAGE = '''
"""slab-means: the mean of each slab of a tensor along one of its modes."""

from dataclasses import dataclass

import numpy as np
import torch

from polyadic.artifact import Artifact
from polyadic.distributed import World
from polyadic.errors import UserError, shorten
from polyadic.formats import npy
from polyadic.jobs.algorithm import Algorithm, TinyJob
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.metrics import Metric
from polyadic.options import option
from polyadic.readers.tensor import read_tensor, tensor_channel


class SlabMeansHyperparameters(Hyperparameters):
    """What a slab-means job may set."""

    slab_mode: int = option("the mode whose slabs are averaged", ge=0)


@dataclass(frozen=True)
class SlabMeans:
    """The means of I slabs, which answers with the mean of the slab that is asked for."""

    settings: SlabMeansHyperparameters
    means: torch.Tensor

    def artifact(self):
        return Artifact(
            algorithm="slab-means",
            hyperparameters=self.settings.model_dump(),
            tensors={"means": self.means},
            metrics={"train:largest_mean": float(self.means.max())},
        )

    def example(self):
        return {"slab": 0}

    def parse(self, instance, configuration):
        slab = instance.get("slab") if isinstance(instance, dict) else None
        if type(slab) is not int or not 0 <= slab < len(self.means):
            raise UserError(f"got {shorten(instance)}: give a slab from 0 to {len(self.means) - 1}")
        return slab

    def predict(self, slabs):
        return [{"mean": float(self.means[slab])} for slab in slabs]


def fit(job):
    mode = job.hyperparameters.slab_mode
    slab = read_tensor(job, dtype=torch.float64).data
    others = [other for other in range(len(slab.shape)) if other != mode]
    sums = slab.local.sum(others)
    if mode == slab.mode:  # Each rank has slabs of its own; else each has a part of every slab.
        sums = job.world.gather_rows(sums)
    else:
        job.world.sum_(sums)
    means = sums * slab.shape[mode] / torch.tensor(slab.shape).prod()
    job.metric("train largest_mean", float(means.max()))
    return SlabMeans(job.hyperparameters, means)


def load(artifact):
    return SlabMeans(SlabMeansHyperparameters(**artifact.hyperparameters), artifact.tensors["means"])


ALGORITHM = Algorithm(
    name="slab-means",
    summary="the mean of each slab of a tensor",
    reads="arrays",
    answers="means",
    hyperparameters=SlabMeansHyperparameters,
    channels=(tensor_channel("train"),),
    metrics=(Metric("train largest_mean", minimize=False),),
    fit=fit,
    load=load,
    report=None,
    tiny_job=TinyJob(
        hyperparameters={"algorithm": "slab-means", "slab_mode": "1"},
        channels=lambda: {"train": {"tensor.npy": npy.encode(np.arange(24.0).reshape(2, 3, 4))}},
        instances=[{"slab": 0}, {"slab": 2}],
        steps=None,
    ),
)
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the new package, which is searched for algorithms as well."""
    folder = tmp_path / "more_algorithms"
    (folder / "slab_means").mkdir(parents=True)
    (folder / "slab_means" / "__init__.py").write_text(PACKAGE)
    monkeypatch.setattr(algorithms, "__path__", [*algorithms.__path__, str(folder)])
    yield folder
    import sys

    sys.modules.pop("polyadic.algorithms.slab_means", None)


def test_it_is_found_by_being_there(added: Path) -> None:
    assert "slab-means" in ALGORITHMS and "slab-means" in list(ALGORITHMS)
    assert choose({"algorithm": "slab-means", "slab_mode": "0"})[0].name == "slab-means"


def test_a_job_that_names_no_algorithm_means_what_it_meant(added: Path) -> None:
    assert choose({"rank": "5"})[0].name == "cp"
    with pytest.raises(
        UserError, match=r"the others \(slab_mode\) fit no algorithm: .*; slab-means \(needs slab_mode\)"
    ):
        choose({"slab_mode": "0"})


def test_it_is_trained_written_down_and_read_again(added: Path, tmp_path: Path) -> None:
    model = train("slab-means", tmp_path / "data")
    model.artifact().write(tmp_path / "model")
    artifact = Artifact.read(tmp_path / "model")
    again = ALGORITHMS[artifact.algorithm].load(artifact)
    answers = again.predict([again.parse(instance, {}) for instance in ALGORITHMS["slab-means"].tiny_job.instances])
    assert answers == [{"mean": 7.5}, {"mean": 15.5}]


def test_it_is_served(added: Path, tmp_path: Path) -> None:
    train("slab-means", tmp_path / "data").artifact().write(tmp_path / "model")
    client = ready_client(tmp_path)
    assert client.get("/ping").status_code == 200
    answer = client.post("/invocations", json={"instances": [{"slab": 1}]})
    assert answer.json == {"predictions": [{"mean": 11.5}]}
    refused = client.post("/invocations", json={"instances": [{"slab": 9}]})
    assert refused.status_code == 400 and "give a slab from 0 to 2" in refused.get_json()["error"]


def test_it_is_documented(added: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["algorithms"]) == 0
    assert "slab-means: the mean of each slab of a tensor" in capsys.readouterr().out
    assert command_line.main(["schema", "slab-means"]) == 0
    assert json.loads(capsys.readouterr().out) == training_specification(ALGORITHMS["slab-means"])
    assert "| `slab_mode` | required | an integer, 0 or more |" in table(ALGORITHMS["slab-means"])


def means_on_this_rank(world: World, folder: str, data: str) -> bytes:
    from polyadic import algorithms

    if folder not in algorithms.__path__:
        algorithms.__path__.append(folder)
    tiny_job = ALGORITHMS["slab-means"].tiny_job
    algorithm, prepared = job(tiny_job.hyperparameters, Path(data), tiny_job.channels(), world=world)
    model = algorithm.fit(prepared)
    return orjson.dumps(model.predict([0, 1, 2]))


def test_two_ranks_give_what_one_gives(added: Path, tmp_path: Path) -> None:
    answers = on_ranks(2, means_on_this_rank, str(added), str(tmp_path / "data"), fresh=True)
    assert answers == [orjson.dumps([{"mean": 7.5}, {"mean": 11.5}, {"mean": 15.5}])] * 2
