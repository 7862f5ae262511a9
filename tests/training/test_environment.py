"""Everything that SageMaker may say, and may leave out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polyadic.errors import UserError
from polyadic.training import environment
from polyadic.training.environment import read_environment
from tests.helpers.opt_ml import OptMl


def read(job: OptMl, **environ: str) -> environment.Environment:
    return read_environment({**job.environ, **environ})


def test_a_bare_container_has_usual_values(tmp_path: Path) -> None:
    here = read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert (here.hosts, here.current_host, here.hyperparameters) == (("algo-1",), "algo-1", {})
    assert (here.channels, here.checkpoints, here.master_address) == ({}, None, "127.0.0.1")


def test_folders_are_channels_where_no_config_names_any(tmp_path: Path) -> None:
    (tmp_path / "input" / "data" / "train").mkdir(parents=True)
    assert list(read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)}).channels) == ["train"]


def test_hosts_are_ranked_by_name_and_the_first_is_the_master(tmp_path: Path) -> None:
    hosts = ("algo-2", "algo-10", "algo-1")
    here = read(OptMl(tmp_path, {}, "algo-2", hosts))
    assert here.hosts == ("algo-1", "algo-10", "algo-2")
    assert (here.host_rank, here.master_address, here.master_port) == (2, "algo-1", 7777)
    named = read(OptMl(tmp_path, {}, "algo-2", hosts), MASTER_ADDR="10.0.0.7", MASTER_PORT="999")
    assert (named.master_address, named.master_port) == ("10.0.0.7", 999)


def test_an_interface_that_does_not_exist_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net" / "eth7").mkdir(parents=True)
    monkeypatch.setattr(environment, "NETWORK_INTERFACES", tmp_path / "net")
    job = OptMl(tmp_path / "ml", {})
    assert read(job).network_interface is None
    job.configure("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth7"})
    assert read(job).network_interface == "eth7"


def test_the_toolkit_s_variables_are_exported(tmp_path: Path) -> None:
    job = OptMl(tmp_path, {"rank": "5"}).channel("train", {"a.npy": b""}, ContentType="application/x-npy")
    variables = read(job).variables()
    assert variables["SM_CHANNEL_TRAIN"] == str(tmp_path / "input" / "data" / "train")
    assert json.loads(variables["SM_HPS"]) == {"rank": "5"}
    assert variables["SM_HP_RANK"] == "5"
    assert json.loads(variables["SM_INPUT_DATA_CONFIG"])["train"]["ContentType"] == "application/x-npy"
    assert variables["SM_MODEL_DIR"] == str(tmp_path / "model")
    assert json.loads(variables["SM_HOSTS"]) == ["algo-1"]


@pytest.mark.parametrize(
    ("text", "message"), [("{", "hyperparameters.json is not JSON"), ("[]", "hyperparameters.json holds a list")]
)
def test_broken_configuration(tmp_path: Path, text: str, message: str) -> None:
    job = OptMl(tmp_path, {})
    (tmp_path / "input" / "config" / "hyperparameters.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read(job)


def test_a_host_that_is_not_among_the_hosts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names 'algo-3' as current_host, which is not among hosts"):
        read(OptMl(tmp_path, {}, "algo-3", ("algo-1", "algo-2")))
