import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from local_mode.__main__ import _parser
from local_mode.errors import LocalModeError
from local_mode.jobfile import parse_channels, parse_hyperparameters
from local_mode.variants import Variant, check_variants, parse_variant

ROOT = Path(__file__).parents[2]


def local_mode(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_mode", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_hyperparameters_become_strings_and_later_ones_win(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"rank": 5, "tol": 1e-6, "flag": True, "list": [1, 2], "cell": "lstm", "text": "5"}))
    assert parse_hyperparameters([str(file), "rank=7", "note=a=b", "empty="]) == {
        "rank": "7",
        "tol": "1e-06",
        "flag": "true",
        "list": "[1, 2]",
        "cell": "lstm",
        "text": "5",
        "note": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "neither KEY=VALUE nor a JSON file that exists"),
        ("{rank: 5}", "is not JSON"),
        ("[1]", "holds a list: hyperparameters are one JSON object"),
    ],
)
def test_a_hyperparameter_file_that_is_none_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "job.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(LocalModeError, match=message):
        parse_hyperparameters([str(file)])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "endpoint", "demo"])
def test_the_example_of_help_is_understood_and_a_job_of_it_runs(command: str, tmp_path: Path) -> None:
    printed = " ".join(local_mode(command, "--help").stdout.split())
    example = shlex.split(printed.partition("example: python -m local_mode ")[2])
    assert example[0] == command and _parser().parse_args(example)
    if command == "train":
        (tmp_path / "data").mkdir()
        np.save(tmp_path / "data" / "a.npy", np.random.default_rng(0).random((6, 5, 4)))
        run = subprocess.run(
            [sys.executable, "-m", "local_mode", *example], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=100,
        )  # fmt: skip
        assert run.returncode == 0 and (tmp_path / "out" / "job" / "model.tar.gz").is_file(), run.stderr


def test_channels_are_read() -> None:
    assert parse_channels(["train=a", "test=b=c"]) == {"train": Path("a"), "test": Path("b=c")}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train"], "write CHANNEL=DIR"),
        (["=a"], "write CHANNEL=DIR"),
        (["tr ain=a"], "write CHANNEL=DIR"),
        (["train=a", "train=b"], "'train' was given twice"),
    ],
)
def test_a_channel_that_is_none_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(LocalModeError, match=message):
        parse_channels(arguments)


@pytest.mark.parametrize(
    "text, variant",
    [
        ("a=m.tar.gz:0.25", Variant("a", Path("m.tar.gz"), 0.25)),
        ("a=m.tar.gz", Variant("a", Path("m.tar.gz"), 1.0)),
        ("a-1=odd:name/m.tar.gz", Variant("a-1", Path("odd:name/m.tar.gz"), 1.0)),
        ("a=m.tar.gz:0", Variant("a", Path("m.tar.gz"), 0.0)),
    ],
)
def test_variants_are_read(text: str, variant: Variant) -> None:
    assert parse_variant(text) == variant


@pytest.mark.parametrize(
    "text, message",
    [
        ("a", "write NAME=PATH"),
        ("a=", "write NAME=PATH"),
        ("a_b=m.tar.gz", "'a_b' is no variant name"),
        ("-a=m.tar.gz", "'-a' is no variant name"),
        ("a=m.tar.gz:-1", "weight -1: a weight is a number of 0 or more"),
        ("a=m.tar.gz:nan", "weight nan"),
        ("a=m.tar.gz:inf", "weight inf"),
    ],
)
def test_a_variant_that_is_none_is_named(text: str, message: str) -> None:
    with pytest.raises(LocalModeError, match=message):
        parse_variant(text)


def test_variants_differ_in_name_and_are_ten_at_most() -> None:
    with pytest.raises(LocalModeError, match="variant names must differ, and got a, a"):
        check_variants([Variant("a", Path("m"))] * 2)
    with pytest.raises(LocalModeError, match="got 11 variants: an endpoint has 1 to 10"):
        check_variants([Variant(f"v{number}", Path("m")) for number in range(11)])


@pytest.mark.parametrize(
    "words, message",
    [
        (["train", "--output", "{tmp}", "--hosts", "0"], "error: got --hosts 0"),
        (["train", "--output", "{tmp}", "--data", "train={tmp}/none"], "error: channel 'train' names"),
        (["endpoint", "e", "--variant", "a={tmp}/none.tar.gz", "--port", "0"], "error: there is no file"),
        (["endpoint", "e_1", "--variant", "a=m.tar.gz", "--port", "0"], "error: 'e_1' is no endpoint name"),
        (
            ["endpoint", "e", "--variant", "a=m.tar.gz", "--port", "99999"],
            "error: cannot listen on port 99999",
        ),
    ],
)
def test_bad_input_ends_with_one_sentence_and_no_traceback(tmp_path: Path, words: list[str], message: str) -> None:
    done = local_mode(*(word.format(tmp=tmp_path) for word in words))
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr


def test_a_missing_docker_or_image_is_a_sentence(tmp_path: Path) -> None:
    done = local_mode("train", "--output", str(tmp_path), "--image", "local-mode-test/no-such-image")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_endpoint_runs_until_a_signal_and_leaves_no_process(
    tmp_path: Path,
    standin: Path,
    archive: Callable[..., Path],
    number: int,
    no_process_left: Callable[[], list[str]],
) -> None:
    words = [
        "endpoint",
        "e",
        "--variant",
        f"a={archive(tmp_path)}:1",
        "--port",
        "0",
        "--container",
        str(standin),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "local_mode", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline().startswith("Endpoint e answers at http://127.0.0.1:")
        assert len(no_process_left()) == 2
        command.send_signal(number)
        snippet = command.stdout.read()
    assert command.returncode == 0
    assert 'boto3.client("sagemaker-runtime"' in snippet


def test_ctrl_c_while_the_endpoint_starts_leaves_no_process(
    tmp_path: Path, standin: Path, archive: Callable[..., Path], no_process_left: Callable[[], list[str]]
) -> None:
    model = archive(tmp_path, never_healthy=True)
    words = ["endpoint", "e", "--variant", f"a={model}", "--port", "0", "--container", str(standin)]
    with subprocess.Popen([sys.executable, "-m", "local_mode", *words], cwd=ROOT) as command:
        while len(no_process_left()) < 2:
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 130
