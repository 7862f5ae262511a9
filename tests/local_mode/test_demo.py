import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from local_mode.demo.scores import comparison, coverage, mase, paired_errors, rmse
from local_mode.demo.series import FOLDER, Series, load_series
from local_mode.demo.story import AIR_TEMPERATURE, rolling_origins
from local_mode.demo.traffic import Forecast

ROOT = Path(__file__).parents[2]
NAN = float("nan")


def made_series(values: list[float], withheld_from: int) -> Series:
    return Series("made", "m", "2000-03-01 00:00:00", np.array(values), withheld_from)


def test_the_data_is_small_whole_and_split_where_it_says() -> None:
    assert sum(file.stat().st_size for file in FOLDER.parent.rglob("*") if file.is_file()) < 1_000_000
    for file in (FOLDER / "train").iterdir():
        seen, full = (json.loads((FOLDER / split / file.name).read_text()) for split in ("train", "test"))
        assert seen["start"] == full["start"]
        assert seen["target"] == full["target"][:-72]
    temperatures = np.load(AIR_TEMPERATURE / "air_temperature.npy")
    assert temperatures.shape == (20, 25, 53)
    assert np.isfinite(temperatures).all()
    assert [(len(series.values), int(np.isnan(series.values).sum())) for series in load_series()] == [
        (732, 0),
        (526, 5),
    ]


def test_a_request_holds_nothing_from_its_origin_on() -> None:
    series = made_series([1.0, NAN, 3.0, 4.0], 2)
    assert series.instance(3) == {"start": "2000-03-01 00:00:00", "target": [1.0, None, 3.0]}
    assert str(series.months[-1]) == "2000-06"


def test_every_rolling_origin_is_withheld_with_its_whole_horizon() -> None:
    series = load_series()
    origins = rolling_origins(series, 12)
    assert len(origins) == 122
    assert all(series.withheld_from <= origin <= len(series.values) - 12 for series, origin in origins)
    assert origins[0][0] is not origins[1][0]


def test_seasonal_naive_repeats_the_last_known_year() -> None:
    values = [float(month) for month in range(36)]
    values[14] = NAN
    naive = made_series(values, 24).seasonal_naive(24, 14)
    expected = [12.0, 13.0, 2.0, *range(15, 24), 12.0, 13.0]
    assert naive.tolist() == expected


def test_mase_is_one_for_a_seasonal_step_as_large_as_before() -> None:
    series = made_series([*np.zeros(12), *np.full(12, 2.0), *np.full(12, 4.0)], 24)
    assert series.naive_error == 2.0
    assert mase(series, series.seasonal_naive(24, 12), series.actuals(24, 12)) == 1.0
    assert mase(series, np.full(3, 5.0), np.array([4.0, NAN, 4.0])) == 0.5


def test_rmse_and_coverage_leave_gaps_out() -> None:
    assert rmse([np.array([3.0, NAN]), np.array([4.0])]) == pytest.approx(np.sqrt(12.5))
    series = made_series([0.0, 1.0, NAN, 9.0], 0)
    ones = np.ones(4)
    assert coverage([Forecast(series, 0, "a", 0.1, ones, ones * 0, ones, ones * 2)]) == pytest.approx(2 / 3)


def test_the_table_counts_each_variants_own_requests() -> None:
    series = made_series([*np.zeros(12), *np.ones(24)], 24)
    ones = np.ones(12)
    given = [Forecast(series, 24, name, 0.01, ones, ones, ones, ones) for name in ("a", "a", "a", "b")]
    lines = [line.split() for line in comparison(given, ["a", "b", "c"], [series]).splitlines()]
    assert lines[1] == ["a", "3", "0.75", "10.0", "10.0", "0.000", "1.00", "0.000"]
    assert lines[2][:3] == ["b", "1", "0.25"]
    assert lines[3] == ["c", "0", "0.00", *"-----"]
    assert lines[4] == ["seasonal", "naive", *"----", "0.000", "-", "0.000"]


def test_paired_errors_are_each_variants_mean() -> None:
    series = made_series([*np.zeros(12), *np.ones(24)], 24)
    levels = [("a", 1.0), ("a", 2.0), ("b", 3.0)]
    given = [Forecast(series, 24, name, 0.01, *(np.full(12, level) for _ in range(4))) for name, level in levels]
    assert paired_errors(given, ["a", "b"]) == "MASE a 0.500, b 2.000"


def demo_command(standin: Path, output: Path) -> subprocess.Popen[str]:
    words = ["-m", "local_mode", "demo", "--container", str(standin), "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_the_whole_story_with_a_standin(tmp_path: Path, standin: Path, no_process_left: object) -> None:
    with demo_command(standin, tmp_path) as command:
        output, _ = command.communicate(timeout=120)
    assert command.returncode == 0, output
    rows = {line.split()[0]: line.split() for line in output.splitlines() if re.match(r"(tt-)?lstm ", line)}
    assert set(rows) == {"tt-lstm", "lstm"}
    assert sum(int(row[1]) for row in rows.values()) == 122
    assert "relative error 0.0050, that is 0.10 °C root mean square" in output
    naive = re.search(r"seasonal naive .* (\d\.\d{3})  +-", output)
    assert naive is not None
    assert f"MASE tt-lstm {naive[1]}, lstm {naive[1]}" in output
    assert "model 21.50 °C" in output
    assert (tmp_path / "forecasts.png").read_bytes().startswith(b"\x89PNG")
    assert "tt-lstm: step 4 of at most 20" in output
    assert "\r" not in output


def test_ctrl_c_in_training_leaves_no_process(
    tmp_path: Path,
    standin: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_process_left: Callable[[], list[str]],
) -> None:
    monkeypatch.setenv("STANDIN_WAITS", "1")
    with demo_command(standin, tmp_path) as command:
        assert command.stdout is not None
        while "step 160" not in command.stdout.readline():
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        rest = command.stdout.read()
    assert command.returncode == 130
    assert "Traceback" not in rest


def test_a_failing_training_says_why(tmp_path: Path) -> None:
    script = '#!/bin/sh\necho "rank is 0" > "$SAGEMAKER_BASE_DIR/output/failure"\nexit 1\n'
    (tmp_path / "train").write_text(script)
    (tmp_path / "train").chmod(0o755)
    with demo_command(tmp_path, tmp_path / "out") as command:
        output, _ = command.communicate(timeout=60)
    assert command.returncode == 2
    assert "error: training cp failed: rank is 0" in output
