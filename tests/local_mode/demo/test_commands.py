import os
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from local_mode.demo.commands import Commands, command_line, relative
from local_mode.errors import LocalModeError
from local_mode.stopping import Stopped, StopRequest


def commands(stop: StopRequest | None = None) -> Commands:
    return Commands(sys.executable, os.environ, StopRequest() if stop is None else stop)


def test_a_long_command_can_be_repeated_as_it_is_printed() -> None:
    options = [word for number in range(5) for word in (f"--option-{number}", "x" * 40)]
    words = ["scripts.deploy", *options, "--name", "a b"]
    text = command_line(words)
    assert max(map(len, text.splitlines())) < 120
    assert shlex.split(text.replace("\\\n", "")) == ["$", "python", "-m", *words]
    assert command_line(["scripts.compare", "air"]) == "$ python -m scripts.compare air"


def test_an_option_stays_beside_its_value() -> None:
    text = command_line(["scripts.deploy", *(word for _ in range(9) for word in ("--variant", "A=job:name:1"))])
    assert not [line for line in text.splitlines() if line.endswith("--variant \\")]


def test_a_command_is_printed_before_what_it_says(capfd: pytest.CaptureFixture[str]) -> None:
    finished = commands()("platform", "--terse")
    assert capfd.readouterr().out == "\n$ python -m platform --terse\n" + "\n".join(finished.lines) + "\n"
    assert finished.code == 0
    assert commands().quietly("platform").lines
    assert capfd.readouterr().out == ""


def test_a_code_that_is_not_allowed_is_an_error_with_the_last_line() -> None:
    with pytest.raises(LocalModeError, match="`json.tool` ended with 2: .*json.tool: error"):
        commands().quietly("json.tool", "--no-such-option")
    assert commands().quietly("json.tool", "--no-such-option", allowed=(2,)).code == 2


def test_a_stop_request_ends_the_command() -> None:
    stop, started = StopRequest(), time.monotonic()
    threading.Timer(0.5, stop.receive, (2, None)).start()
    with pytest.raises(Stopped):
        commands(stop).quietly("http.server", "0")
    assert time.monotonic() - started < 10


def test_paths_are_those_that_a_user_would_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "out" / "demo") == "out/demo"
    assert relative(Path("out")) == "out"
    assert relative(tmp_path.parent) == str(tmp_path.parent)
