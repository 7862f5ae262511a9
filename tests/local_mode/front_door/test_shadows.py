"""A shadow that falls behind: how many copies it is asked at once, how many wait, and that missed ones are told."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from local_mode.front_door.runtime import shadows
from local_mode.front_door.runtime.calls import Call
from local_mode.front_door.runtime.routes import Instance, VariantRoute
from local_mode.front_door.runtime.shadows import Shadows
from local_mode.front_door.runtime.window import Window

SHADOW = VariantRoute("B", 1.0, [Instance("http://127.0.0.1:1")])


class Slow:
    """A shadow's containers, a capture and a log in one: nothing is answered until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = self.most = 0
        self.captured: list[str] = []
        self.lines: list[tuple[str, ...]] = []

    async def ask(self, _call: Call, _shadow: VariantRoute) -> object:
        self.asked += 1
        self.most = max(self.most, self.asked)
        await self.go.wait()
        await asyncio.sleep(0)
        self.asked -= 1
        return object()

    def record(self, _settings: object, call: Call, _variant: str, _answer: object) -> None:
        self.captured.append(call.event_id)

    def write(self, *line: str) -> None:
        self.lines.append(line)


async def asked(count: int, size: int = 1) -> tuple[Slow, Shadows, list[str]]:
    """Copies of requests to a shadow that answers once all were made."""
    slow: Any = Slow()
    made = Shadows(slow, slow, Window(), slow)
    calls = [Call("e", CIMultiDict(), b"x" * size) for _ in range(count)]
    for call in calls:
        made.copy(call, SHADOW, SimpleNamespace())  # type: ignore[arg-type]
        await asyncio.sleep(0)
    slow.go.set()
    while made._tasks:
        await asyncio.sleep(0)
    return slow, made, [call.event_id for call in calls]


def test_a_burst_waits_its_turn_and_none_is_missed() -> None:
    slow, _, sent = asyncio.run(asked(2000))
    assert slow.most == shadows.MAX_ASKED
    assert sorted(slow.captured) == sorted(sent) and slow.lines == []


@pytest.mark.parametrize(("count", "size", "kept"), [(9000, 1, shadows.MAX_COPIES), (30, 4 * 2**20, 16)])
def test_what_is_missed_is_told_while_it_lasts_and_at_its_end(count: int, size: int, kept: int) -> None:
    slow, made, sent = asyncio.run(asked(count, size))
    assert sorted(slow.captured) == sorted(sent[:kept])
    missed = count - kept
    so_far = [2**power for power in range(missed.bit_length())]
    told = [f"{number} requests so far" for number in so_far] + [f"{missed} requests in all"]
    expected = [f"{start} were not copied to the shadow: it fell too far behind" for start in told]
    assert slow.lines == [("/aws/sagemaker/Endpoints/e", "shadow", line) for line in expected]
    assert not (made._counts or made._bytes or made._missed or made._turns)
