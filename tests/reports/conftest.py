from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from polyadic.reports import decomposition_figures, forecast_figures, style, topics


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that became PNG since the test began, in their order."""
    figures: list[Figure] = []

    def record(figure: Figure, title: str = "") -> bytes:
        figures.append(figure)
        return style.as_png(figure, title)

    for module in (decomposition_figures, forecast_figures, topics):
        monkeypatch.setattr(module, "as_png", record)
    return figures
