"""The channels of a forecaster, on one rank and on several."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.likelihoods import LIKELIHOODS, Likelihood
from polyadic.forecasting.store import SeriesStore
from polyadic.jobs.job import Job
from polyadic.readers.series.channel import read_seen, read_test, read_train
from tests.helpers.ranks import on_ranks
from tests.helpers.series_files import HOUR, csv_of, parquet_of, record_of, stamps_of
from tests.helpers.tiny_jobs import FORECASTER, job, lines, records

GAUSSIAN = LIKELIHOODS["gaussian"]


def channel(folder: Path, files: dict[str, bytes], likelihood: str = "gaussian") -> SeriesStore:
    """The channel `train` as a job reads it."""
    _, prepared = job(FORECASTER, folder, {"train": files})
    return read_train(prepared, HOUR, LIKELIHOODS[likelihood])


@pytest.mark.slow
def test_a_job_reads_all_formats_of_a_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hours = stamps_of({"start": "2021-01-01 00:00:00", "target": [0.0] * 60}, HOUR)
    wide = csv_of([["date", "x"], *([hour, step] for step, hour in enumerate(hours))])
    long = csv_of([["item_id", "timestamp", "target"], *(["a", hour, step] for step, hour in enumerate(hours))])
    files = {
        "a.json": lines(records()),
        "b.parquet": parquet_of(records()),
        "sub/c.csv": wide,
        "d.csv.gz": gzip.compress(long),
        "notes.txt": b"left alone",
    }
    assert len(channel(tmp_path, files)) == 10
    assert (
        capsys.readouterr().err == "warning: channel train: 1 file (notes.txt) is not read, being of no known format\n"
    )
    algorithm, prepared = job({**FORECASTER, "epochs": "1"}, tmp_path, {"train": files, "test": {"c.csv": wide}})
    model: Any = algorithm.fit(prepared)
    assert np.isfinite(model.metrics["test:RMSE"])


def test_months_that_are_read_as_hours_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    months = np.arange("2020-01", "2040-01", dtype="datetime64[M]").astype("datetime64[D]")
    table = csv_of([["date", "x"], *([f"{month} 00:00:00", 1.0] for month in months)])
    channel(tmp_path, {"a.csv": table})
    said = capsys.readouterr().err
    assert "warning: channel train has a value at 240 of 174,577 steps of time_freq H: is the time between its" in said


def test_few_observations_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    channel(tmp_path, {"a.json": lines(records())})
    assert "warning: channel train has 92 observations: give 300 or more" in capsys.readouterr().err


def test_the_likelihood_refuses_a_target(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"channel train, a\.json, line 1: target holds 1 at place 1, but likelihood beta"
    ):
        channel(tmp_path, {"a.json": lines([record_of()])}, likelihood="beta")


def on_each_rank(world: World, folder: Path) -> tuple[list[str], dict[str, list[int]]]:
    """What is said where two hosts differ in their cat, and which series are read where two ranks share a host."""
    return _said(world, folder), _dealt(replace(world, local_rank=world.rank, local_size=2), folder / "dealt")


def _said(world: World, folder: Path) -> list[str]:
    """Of a channel that is divided between two hosts, where both have one cat, and where one has two."""
    said = []
    for case, cat in enumerate(([3], [0, 1])):
        data = lines([record_of(cat=cat if world.rank else [0])])
        files = {f"{'ab'[world.rank]}.json": data}
        _, prepared = job(FORECASTER, folder / f"{case}{world.rank}", {"train": files}, None, world)
        channels = {"train": replace(prepared.channels["train"], divided=True)}
        try:
            read_train(replace(prepared, channels=channels), HOUR, GAUSSIAN)
            said.append("taken")
        except UserError as error:
            said.append(str(error))
    return said


def _dealt(world: World, folder: Path) -> dict[str, list[int]]:
    """The first values of a rank's series, by what the channel is for and whether each host has its own."""
    data = [lines([record_of(target=[float(number)] * 9) for number in numbers]) for numbers in ([0, 1, 2], [3, 4])]
    files = dict(zip(("a.json", "b.json"), data, strict=True))
    channels = dict.fromkeys(("train", "validation", "test"), files)
    _, prepared = job(FORECASTER, folder / str(world.rank), channels, None, world)
    readers: dict[str, Callable[[Job[Any], Frequency, Likelihood], SeriesStore | None]] = {
        "train": read_train,
        "validation": read_validation,
        "test": partial(read_test, horizon=3),
    }
    first_values = {}
    for name, divided in itertools.product(channels, (False, True)):
        opened = {other: replace(each, divided=divided) for other, each in prepared.channels.items()}
        reader = readers[name]
        series = reader(replace(prepared, channels=opened), HOUR, GAUSSIAN)
        assert series is not None
        first_values[f"{name}, divided" if divided else name] = [int(each.target[0]) for each in series]
    return first_values


def read_validation(prepared: Job[Any], frequency: Frequency, likelihood: Likelihood) -> SeriesStore:
    return read_seen(prepared, "validation", frequency, likelihood)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return on_ranks(2, on_each_rank, tmp_path_factory.mktemp("ranks"), hosts=2)


@pytest.mark.slow
def test_the_ranks_of_a_host_share_what_is_its_own_and_all_share_what_is_tested(two_ranks: list[Any]) -> None:
    for (_, dealt), part in zip(two_ranks, ([0, 2, 4], [1, 3]), strict=True):
        assert dealt.pop("train") == dealt.pop("validation") == [0, 1, 2, 3, 4]
        assert dealt == dict.fromkeys(("train, divided", "validation, divided", "test", "test, divided"), part)


@pytest.mark.slow
def test_hosts_that_differ_in_their_features_are_refused(two_ranks: list[Any]) -> None:
    for (taken, refused), _ in two_ranks:
        assert taken == "taken"
        assert refused == (
            "channel train, b.json, line 1: cat has 2 entries, and 1 in a.json, line 1: all series of a channel "
            "must have the same number"
        )
