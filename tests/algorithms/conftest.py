from __future__ import annotations

import pytest

from polyadic.forecasting import training


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "FEWEST_STEPS", 3)
