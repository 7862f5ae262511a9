from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from local_mode.demo import air
from local_mode.demo.commands import Finished
from local_mode.demo.experiment import Experiment
from local_mode.demo.traffic import Answer, Request


def test_a_fifth_of_the_entries_is_withheld_in_a_random_order() -> None:
    temperatures = air.load()
    shown, places = air.withhold(temperatures)
    assert {tuple(place) for place in np.argwhere(np.isnan(shown)).tolist()} == set(places)
    assert len(places) == len(set(places)) > air.BY_SHADOW + air.BY_SPLIT
    assert abs(len(places) / temperatures.size - air.WITHHELD) < 0.01
    assert np.array_equal(shown[~np.isnan(shown)], temperatures[~np.isnan(shown)])
    assert places != sorted(places)
    assert min(Counter(time for time, _, _ in places[: air.BY_SHADOW]).values()) > 0
    assert air.withhold(temperatures)[1] == places


def test_an_entrys_place_is_told_in_words() -> None:
    assert air.place((10, 14, 22)) == "26 February 2014 12:00, 40 N 255 E"
    assert air.place((0, 1, 1)) == "24 February 2014 00:00, 72.5 N 202.5 E"


@dataclass
class Told:
    """An experiment whose promotion ends with a code."""

    code: int
    actions: list[str] = field(default_factory=list)

    def traffic(self, action: str, *words: str) -> Finished:
        self.actions.append(action)
        return Finished(self.code, [])

    def ask(self, requests: list[Request], answers_each: int) -> list[Answer]:
        self.actions.append(f"ask {len(requests)}")
        return [Answer(request, "rank-20", {"value": 1.0}) for request in requests]


@pytest.mark.parametrize(("code", "actions"), [(0, ["promote", "ask 20", "rollback", "ask 20"]), (1, ["promote"])])
def test_what_is_not_promoted_is_not_rolled_back(
    code: int, actions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told: Any = Told(code)
    air.promote(cast(Experiment, told), [Request(str(number), {"index": (0, 0, 0)}, 2.0) for number in range(50)])
    assert told.actions == actions
    assert ("rank-20 says 1.0 °C, the reanalysis 2.0 °C" in capsys.readouterr().out) == (code == 0)
