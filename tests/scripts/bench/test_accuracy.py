"""The accuracy table: paired differences, what is kept of a job, and the systems that the bench makes itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import ttest_rel

from scripts.bench import accuracy
from scripts.bench.accuracy import Result, differences
from scripts.bench.accuracy_chaos import kuramoto_sivashinsky_step, mackey_glass_step


@pytest.mark.parametrize(("shift", "verdict"), [(-0.3, "better"), (0.0, "tie"), (0.3, "worse")])
def test_a_difference_is_told_with_its_interval(shift: float, verdict: str) -> None:
    random = np.random.default_rng(0)
    other = random.normal(5, 0.1, (10, 2))
    ours = other + random.normal(0, 0.05, (10, 2)) + shift
    (name, told), *more = differences({"tt-lstm": ours, "lstm": other}, 1).items()
    assert name == "tt-lstm beside lstm, 10 seeds" and not more
    low, high = ttest_rel(ours[:, 1], other[:, 1]).confidence_interval(0.95)
    scale = 100 / other[:, 1].mean()
    mean = (ours - other)[:, 1].mean() * scale
    assert told == f"{verdict}, {mean:+.1f} % ({low * scale:+.1f} to {high * scale:+.1f})"


def test_a_job_of_the_same_code_and_recipe_is_run_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs: list[int] = []

    def result(_task: Any, _recipe: str, seed: int, *_: Any) -> Result:
        runs.append(seed)
        if seed == 2:
            raise RuntimeError("a job that fails")
        return Result([1.5, seed], 100, 2.0)

    monkeypatch.setattr(accuracy, "_result", result)
    monkeypatch.setattr(accuracy, "KEPT", tmp_path / "kept")
    task: Any = SimpleNamespace(title="t", steps=(1, 2), recipes={"lstm": "chaos_lstm", "tt-lstm": "chaos"})

    def kept(code: str, row: str, seed: int) -> Result:
        return accuracy._kept(code, task, row, seed, [], tmp_path)

    first = kept("a", "lstm", 1)
    assert kept("a", "lstm", 1) == first and runs == [1]
    for other in (("b", "lstm", 1), ("a", "tt-lstm", 1), ("a", "lstm", 0)):
        kept(*other)
    assert runs == [1, 1, 1, 0]
    for _ in range(2):  # What has failed is tried anew.
        with pytest.raises(RuntimeError):
            kept("a", "lstm", 2)
    assert runs[4:] == [2, 2] and len(list((tmp_path / "kept").iterdir())) == 4


def test_code_and_machine_have_one_fingerprint() -> None:
    assert accuracy.fingerprint() == accuracy.fingerprint()


def test_a_step_of_kuramoto_and_sivashinsky_solves_the_equation() -> None:
    place = 2 * np.pi * np.arange(64) / 64
    u = np.cos(place) + 0.5 * np.sin(3 * place)
    wave = 2 * np.pi / 22 * np.fft.rfftfreq(64, 1 / 64)

    def slope(_t: float, u: Any) -> Any:
        v = np.fft.rfft(u)
        return np.fft.irfft((wave**2 - wave**4) * v - 0.5j * wave * np.fft.rfft(u**2), 64)

    solved = solve_ivp(slope, (0, 1), u, method="LSODA", rtol=1e-9, atol=1e-10).y[:, -1]
    np.testing.assert_allclose(kuramoto_sivashinsky_step(u[:, None])[:, 0], solved, atol=2e-4)
    np.testing.assert_allclose(kuramoto_sivashinsky_step(u[:, None], 1 / 16)[:, 0], solved, atol=2e-6)


def test_a_step_of_mackey_and_glass_solves_the_equation() -> None:
    """As long as 6 is less than the delay, the past is given, and the equation an ordinary one."""

    def past(t: Any) -> Any:
        return 0.9 + 0.2 * np.sin(t)

    def slope(t: float, x: Any) -> Any:
        before = past(t - 17)
        return 0.2 * before / (1 + before**10) - 0.1 * x

    solved = solve_ivp(slope, (0, 6), [past(0)], rtol=1e-10, atol=1e-12).y[0, -1]
    history = past(-np.linspace(0, 17, 171))[:, None]
    after = mackey_glass_step(history)
    assert after[0, 0] == pytest.approx(solved, abs=1e-4)
    np.testing.assert_allclose(after[60:], history[:-60])
