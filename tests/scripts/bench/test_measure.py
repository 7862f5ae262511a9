"""How a case becomes rows and lines: ratios, targets, bounds, and goals that were not reached."""

from __future__ import annotations

import math

import pytest

from scripts.bench import measure
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.record import TargetKind


def _case(**changes: object) -> Case:
    fields: dict[str, object] = {
        "key": "cube",
        "title": "CP of a cube",
        "figures": {OURS: 0.01, "pyttb": 0.12, "two GEMMs": 0.004},
        "targets": {"pyttb": 10.0, "two GEMMs": 0.5},
        "roles": {"two GEMMs": "floor"},
    }
    return Case(**fields | changes)  # type: ignore[arg-type]  # The fields are those of a Case.


def test_each_program_has_a_row_with_its_ratio_and_its_target() -> None:
    ours, peer, floor = _case().rows()
    assert (ours.key, ours.role, ours.ratio, ours.target, ours.met) == ("cube.polyadic", "polyadic", 1.0, None, None)
    assert (peer.key, peer.role, peer.met) == ("cube.pyttb", "peer", True)
    assert (floor.key, floor.role, floor.met) == ("cube.two_gemms", "floor", False)
    assert peer.ratio == pytest.approx(12) and floor.ratio == pytest.approx(0.4)
    assert (peer.target_kind, ours.target_kind) == ("ratio at least", "")


def test_a_goal_that_we_do_not_reach_is_a_missed_target() -> None:
    ours, peer = _case(figures={OURS: math.inf, "pyttb": 0.12}).rows()
    assert (ours.value, peer.ratio, peer.met) == (None, None, False)


def test_a_goal_that_a_peer_does_not_reach_is_a_target_met() -> None:
    _, peer = _case(figures={OURS: 0.01, "pyttb": math.inf}).rows()
    assert (peer.value, peer.ratio, peer.met) == (None, None, True)


@pytest.mark.parametrize(
    ("value", "limit", "kind", "met"),
    [
        (1.2, 1.5, "value at most", True),
        (1.6, 1.5, "value at most", False),
        (0.99, 0.98, "value at least", True),
        (0.97, 0.98, "value at least", False),
    ],
)
def test_a_bound_is_a_row_of_its_own(value: float, limit: float, kind: TargetKind, met: bool) -> None:
    row = _case(bounds=[Bound("share of the fit", value, limit, kind)]).rows()[-1]
    assert (row.key, row.work) == ("cube.share_of_the_fit", "CP of a cube: share of the fit")
    assert (row.value, row.target, row.target_kind, row.met) == (value, limit, kind, met)


def test_the_table_is_printed_and_the_case_returned(capsys: pytest.CaptureFixture[str]) -> None:
    case = _case(bounds=[Bound("peak", 2.5, 2.0, unit="GB")], facts={"error": "0.1"})
    assert case.reported() is case
    lines = capsys.readouterr().out.splitlines()
    assert "| program | seconds per sweep | against polyadic | at least |" in lines
    assert "| pyttb | 0.12 | 12.00 | 10 met |" in lines
    assert "| two GEMMs | 0.004 | 0.40 | 0.5 MISSED |" in lines
    assert "peak: 2.5 GB, to be at most 2: MISSED" in lines
    assert "error: 0.1" in lines


def test_facts_become_remarks() -> None:
    assert _case(facts={"error": "0.1"}).remarks() == ["CP of a cube: error: 0.1."]


def test_contenders_take_turns_and_the_first_round_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTLING_SECONDS", 0)
    calls: list[str] = []
    values = {"a": iter([100.0, 1.0, 2.0, 3.0]), "b": iter([0.0, 5.0, 5.0, 7.0])}

    def contender(name: str) -> float:
        calls.append(name)
        return next(values[name])

    assert measure.in_turn({"a": lambda: contender("a"), "b": lambda: contender("b")}, rounds=3) == {"a": 2, "b": 5}
    assert calls == ["a", "b"] * 4


def test_seconds_per_sweep_leaves_the_start_out_and_doubles_short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sweeps = [0.0], list[int]()

    def fit(count: int) -> None:
        sweeps.append(count)
        clock[0] += 5 + 0.03 * count

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    assert measure.seconds_per_sweep(fit, few=2, more=6)() == pytest.approx(0.03)
    assert sweeps == [8, 2, 14, 2]
