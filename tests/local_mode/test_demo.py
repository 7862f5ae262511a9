"""The demonstration as `make local` runs it, and its end by a Ctrl-C and by a failure."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demo_command(output: Path, *options: str) -> subprocess.Popen[str]:
    words = ["-m", "local_mode", "demo", "--output", str(output), *options]
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def rows(output: str) -> list[str]:
    """What the last table says of each comparison: its name, its design, its verdict."""
    table = output.partition("What the comparisons said")[2].split("\n\n")[0].splitlines()[2:]
    return [re.sub(r" +(pairs|split) .* (\w+)$", r": \1 \2", line) for line in table]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_story(tmp_path: Path, no_process_left: object) -> None:
    with demo_command(tmp_path / "demo") as command:
        output, _ = command.communicate(timeout=590)
    assert command.returncode == 0, output
    assert rows(output) == [
        "rank-20 against rank-8: pairs better",
        "rank-20 against rank-8: split better",
        "seed-1 against seed-0: pairs undecided",
        "seed-1 against seed-0, margin 15%: pairs equivalent",
    ]
    assert "20 requests in" in output
    assert "rank-20 answered 20\n" in output  # After the promotion ...
    assert re.search(r"rank-20 answered \d+, rank-8 answered \d+\n\n\$ python -m scripts.teardown air", output)
    refused = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(refused) == 1
    assert refused[0].startswith("error: not promoted: undecided: about ")
    assert re.search(r"rank-20: relative error 0\.0[67]", output)
    assert "Traceback" not in output
    assert "\r" not in output
    assert re.search(r"\nDone in \d+ s; [^\n]*\n$", output)
    assert (tmp_path / "demo" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "warning" not in (tmp_path / "demo" / "up.log").read_text().lower()
    history = [json.loads(line) for line in (tmp_path / "demo" / "weights.jsonl").read_text().splitlines()]
    assert [change["action"] for change in history if "settled" in change] == [
        "deploy", "deploy", "promote", "rollback", "deploy", "deploy"
    ]  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_in_training_leaves_no_process(
    tmp_path: Path,
    standin: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_process_left: Callable[[], list[str]],
) -> None:
    monkeypatch.setenv("STANDIN_WAITS", "1")
    with demo_command(tmp_path / "demo", "--container", str(standin)) as command:
        assert command.stdout is not None
        while "step 100" not in command.stdout.readline():
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        rest = command.stdout.read()
    assert command.returncode == 130
    assert "Traceback" not in rest
    assert "error" not in rest


@pytest.mark.slow
def test_a_failing_training_says_why(tmp_path: Path, no_process_left: object) -> None:
    script = '#!/bin/sh\necho "rank is 0" > "$SAGEMAKER_BASE_DIR/output/failure"\nexit 1\n'
    (tmp_path / "train").write_text(script)
    (tmp_path / "train").chmod(0o755)
    with demo_command(tmp_path / "out", "--container", str(tmp_path)) as command:
        output, _ = command.communicate(timeout=120)
    assert command.returncode == 2
    assert re.search(r"error: training air-rank-8 failed: job \S+ failed: .*rank is 0", output)


def test_a_folder_that_is_no_state_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "mine.txt").write_text("kept")
    with demo_command(tmp_path) as command:
        output, _ = command.communicate(timeout=60)
    assert command.returncode == 2
    assert "is no state of a front door" in output
    assert [file.name for file in (tmp_path / "state").iterdir()] == ["mine.txt"]
