"""Whatever the files of /opt/ml/input/config hold is a value or a sentence for the user."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyadic.errors import UserError
from polyadic.training import config
from polyadic.training.config import ChannelConfig, Resources, read_channels, read_resources, read_tensorboard_path
from polyadic.training.environment import read_environment
from polyadic.training.launcher import main

TEXTS = st.one_of(
    st.text(max_size=6), st.sampled_from(["algo-1", "File", "Pipe", "train", "", "..", "\ud800", "a\0b", "x=y"])
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
CHANNELS = st.dictionaries(
    TEXTS, st.one_of(JSON, st.fixed_dictionaries({}, optional={"TrainingInputMode": JSON, "ContentType": JSON}))
)
RESOURCES = st.fixed_dictionaries(
    {}, optional={"hosts": st.one_of(JSON, st.lists(TEXTS)), "current_host": JSON, "network_interface_name": JSON}
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "hyperparameters.json": JSON,
        "inputdataconfig.json": st.one_of(JSON, CHANNELS),
        "resourceconfig.json": st.one_of(JSON, RESOURCES),
        "tensorboardoutputconfig.json": st.one_of(JSON, st.fixed_dictionaries({"LocalPath": JSON})),
    },
)


def folder_of(base: Path, files: dict[str, Any]) -> Path:
    folder = base / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, value in files.items():
        (folder / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return folder


@given(FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_a_value_or_a_sentence(tmp_path: Path, files: dict[str, Any]) -> None:
    folder_of(tmp_path, files)
    try:
        environment = read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    except UserError as error:
        assert any(name in str(error) for name in files)
        return
    assert environment.current_host in environment.hosts
    assert all(environment.folder(name).parent == tmp_path / "input" / "data" for name in environment.channels)
    assert json.loads(environment.variables()["SM_CHANNELS"]) == sorted(environment.channels)


@given(st.dictionaries(TEXTS, JSON, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@pytest.mark.slow
def test_any_hyperparameters_start_a_process(tmp_path: Path, hyperparameters: dict[str, Any]) -> None:
    folder_of(tmp_path, {"hyperparameters.json": hyperparameters | {"long": "x" * 300_000}})
    variables = read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)}).variables()
    subprocess.run([sys.executable, "-I", "-S", "-c", ""], env=variables, check=True)


@pytest.mark.parametrize(
    ("file", "value", "message"),
    [
        ("inputdataconfig", {"train": None}, 'inputdataconfig.json: train is None: it must be an object such as {"Tr'),
        ("inputdataconfig", {"train": {"TrainingInputMode": "Fast"}}, "TrainingInputMode is 'Fast': it must be Fi"),
        ("inputdataconfig", {"train": {"ContentType": 3}}, "train.ContentType is 3: it must be a text"),
        ("inputdataconfig", {"../train": {}}, "'../train' is no name of a channel: give letters, digits"),
        ("inputdataconfig", {"..": {}}, "'..' is no name of a channel"),
        ("resourceconfig", {"hosts": "algo-1"}, 'hosts is \'algo-1\': it must be a list such as ["algo-1", "algo-2"]'),
        ("resourceconfig", {"hosts": ["algo-1", 2]}, "hosts[1] is 2: it must be the name of a host"),
        ("resourceconfig", {"current_host": ["algo-1"]}, "current_host is ['algo-1']: it must be a text"),
        ("hyperparameters", b"[" * 100_000, "hyperparameters.json is not JSON"),
        ("hyperparameters", b"\xff\xfe\x00", "hyperparameters.json is not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, file: str, value: Any, message: str) -> None:
    folder_of(tmp_path, {f"{file}.json": value})
    with pytest.raises(UserError) as caught:
        read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert message in str(caught.value)


def test_nulls_are_what_is_not_there(tmp_path: Path) -> None:
    channel = {"TrainingInputMode": None, "S3DistributionType": None, "ContentType": None, "RecordWrapperType": "None"}
    nobody = {"hosts": None, "current_host": None, "network_interface_name": None}
    folder = folder_of(tmp_path, {"inputdataconfig.json": {"train": channel}, "resourceconfig.json": nobody})
    assert read_channels(folder) == {"train": ChannelConfig()}
    assert read_resources(folder) == Resources()
    folder_of(tmp_path, {"tensorboardoutputconfig.json": {"LocalPath": 5}})
    assert read_tensorboard_path(folder) is None


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "١"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    with pytest.raises(UserError, match="MASTER_PORT is .*: it must be a port, 1 to 65535"):
        read_environment({"SAGEMAKER_BASE_DIR": str(tmp_path), "MASTER_PORT": port})


def test_the_job_ends_with_the_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, {"inputdataconfig.json": {"\ud800": None}})
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    assert main() == 1
    assert "is no name of a channel" in (tmp_path / "output" / "failure").read_text()
    assert config.CHANNEL_NAME.fullmatch("train-1.x_Y")
