from __future__ import annotations

import pytest

from polyadic.forecasting import draws


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "FEWEST_STEPS", 3)
