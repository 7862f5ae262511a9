"""The command: it prints and writes what a benchmark yields, and says why where one cannot run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from scripts.bench import record
from scripts.bench.catalogue import BENCHES, TOPICS, Bench
from scripts.bench.measure import OURS, Case, UnavailableError

command = importlib.import_module("scripts.bench.__main__")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark called `quick`, whose module a test fills."""
    module = ModuleType("scripts.bench.quick")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(BENCHES, "quick", Bench("quick", TOPICS, "Quick"))
    return module


def _one_case() -> Iterator[Case]:
    yield Case(key="cube", title="CP of a cube", figures={OURS: 0.01}, facts={"error": "0.1"}).reported()


def test_a_benchmark_prints_and_writes(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench.run = _one_case  # type: ignore[attr-defined]  # The module is the test's own.
    assert command.main(["quick", "--out", str(tmp_path), "--remark", "Other work was under way."]) == 0
    written = record.read(tmp_path / "quick.json")
    assert [row.key for row in written.rows] == ["cube.polyadic"]
    assert written.remarks == ["Other work was under way.", "CP of a cube: error: 0.1."]
    assert (written.command, written.carried_over) == ("python -m scripts.bench quick", "")
    assert "| polyadic | 0.01 | 1.00 |  |" in capsys.readouterr().out


def test_without_data_nothing_is_written(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> Iterator[Case]:
        yield from _one_case()
        raise UnavailableError("ap.tgz is not in ../shared/data")

    bench.run = run  # type: ignore[attr-defined]  # The module is the test's own.
    assert command.main(["quick", "--out", str(tmp_path)]) == 0
    assert "nothing written: ap.tgz is not in ../shared/data" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_without_a_peer_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BENCHES, "quick", Bench("quick", TOPICS, "Quick", ("no-such-peer",)))
    assert command.main(["quick", "--out", str(tmp_path)]) == 0
    assert "nothing written: no-such-peer is not installed" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_refused_with_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nothing"]) == 2
    error = capsys.readouterr().err
    assert "no benchmark nothing: there are accuracy, " in error and "cp_dense" in error
