"""Channels as folders of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyadic.algorithms import cp, forecaster
from polyadic.errors import UserError
from polyadic.training.channels import open_channels
from polyadic.training.environment import read_environment
from tests.helpers.opt_ml import OptMl


def test_files_are_found_at_any_depth_and_hidden_ones_are_not(tmp_path: Path) -> None:
    names = ["b.json", "a/c.json", ".hidden.json", "_SUCCESS", ".x/d.json"]
    job = OptMl(tmp_path, {}).channel("train", dict.fromkeys(names, b""), TrainingInputMode="FastFile")
    channel = open_channels(read_environment(job.environ), forecaster.ALGORITHM.channels, "forecaster")["train"]
    assert [str(path.relative_to(channel.folder)) for path in channel.files] == ["a/c.json", "b.json"]
    assert not channel.divided


def test_sharded_channels_are_divided_among_several_hosts(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}, "algo-1", ("algo-1", "algo-2"))
    job.channel("train", {"a.json": b""}, S3DistributionType="ShardedByS3Key")
    assert open_channels(read_environment(job.environ), forecaster.ALGORITHM.channels, "forecaster")["train"].divided


def test_pipe_mode_is_refused_with_what_to_use(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}).channel("train", {}, TrainingInputMode="Pipe")
    with pytest.raises(
        UserError, match="channel train is in Pipe mode, which cp cannot read: set its input mode to File"
    ):
        open_channels(read_environment(job.environ), cp.ALGORITHM.channels, "cp")


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}).channel("training", {"a.npy": b""})
    with pytest.raises(UserError, match=r"channel train is missing \(got training\): cp reads a tensor"):
        open_channels(read_environment(job.environ), cp.ALGORITHM.channels, "cp")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vocab", "cp: unknown channel 'vocab': known are train, model"),
        ("modell", "did you mean 'model'"),
        ("Train", "did you mean 'train'"),
    ],
)
def test_a_channel_that_nothing_reads_is_refused(name: str, message: str, tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}).channel("train", {"a.npy": b""}).channel(name, {"b.npy": b""})
    with pytest.raises(UserError, match=message):
        open_channels(read_environment(job.environ), cp.ALGORITHM.channels, "cp")


def test_the_channels_of_an_sdk_are_passed_over(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}).channel("train", {"a.npy": b""}).channel("code", {"train.py": b""})
    assert list(open_channels(read_environment(job.environ), cp.ALGORITHM.channels, "cp")) == ["train"]


def test_an_optional_channel_may_be_absent(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {}).channel("train", {"a.json": b""})
    assert list(open_channels(read_environment(job.environ), forecaster.ALGORITHM.channels, "forecaster")) == ["train"]
