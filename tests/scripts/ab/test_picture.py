"""A picture is drawn of any evidence, and a wrong name is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.ab.evidence import Evidence
from scripts.ab.picture import draw, picture
from scripts.aws import Invalid, UsageError
from tests.scripts.ab.test_report import CASES


@pytest.mark.parametrize("evidence", [CASES[name] for name in ("nothing", "few", "equal", "pairs", "margin")])
def test_any_evidence_is_drawn(evidence: Evidence) -> None:
    """Warnings are errors here: models that never differ have no interval to draw."""
    draw(evidence, Path("ab.svg"))
    text = Path("ab.svg").read_text()
    assert text.startswith("<?xml") and ("difference so far" in text) == (
        evidence not in (CASES["nothing"], CASES["few"], CASES["equal"])
    )


def test_a_folder_that_is_not_there_and_a_suffix_that_is_unknown() -> None:
    with pytest.raises(UsageError, match=r"cannot write the picture absent/ab\.svg: No such file"):
        draw(CASES["pairs"], Path("absent/ab.svg"))
    with pytest.raises(Invalid, match=r"allowed are names that end with \.png or \.svg"):
        picture("ab.pdf")
    assert picture("ab.SVG") == Path("ab.SVG")
