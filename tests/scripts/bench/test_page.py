"""docs/benchmarks.md and the quoted figures are what the files of docs/benchmarks say."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench import page
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.record import Record

RECORDS = page.read_all()


def _made(**changes: str) -> dict[str, Record]:
    case = Case(
        key="cube",
        title="CP of a cube",
        figures={OURS: 0.008, "TensorLy": 0.0904, "two GEMMs": 2.5},
        targets={"TensorLy": 20.0},
        roles={"two GEMMs": "floor"},
        bounds=[Bound("peak", 1.07, 1.5)],
        spreads={"TensorLy": 0.0125},
    )
    made = Record(
        name="cp_dense",
        date="2026-11-28",
        command="python -m scripts.bench cp_dense",
        machine="a processor, 2 cores",
        versions={"torch": "2.13"},
        rows=case.rows(),
        remarks=["It was quiet."],
        **changes,
    )
    return {"cp_dense": made}


def test_the_page_is_what_the_files_say() -> None:
    assert page.PAGE.read_text() == page.page(RECORDS), "run python -m scripts.bench.page"


@pytest.mark.parametrize("path", page.documents(), ids=lambda path: path.name)
def test_the_quoted_figures_are_those_of_the_files(path: Path) -> None:
    text = path.read_text()
    assert text == page.with_figures(text, RECORDS), "run python -m scripts.bench.page"


def test_the_documents_are_the_readme_and_the_guides_but_not_the_page() -> None:
    names = {path.name for path in page.documents()}
    assert {"README.md", "forecasting.md"} <= names
    assert page.PAGE.name not in names


def test_a_table_has_each_row_with_its_command_machine_and_date() -> None:
    text = page.page(_made())
    assert "```bash\npython -m scripts.bench cp_dense\n```" in text
    assert "| CP of a cube | polyadic | 8 ms per sweep |  |  |" in text
    assert "| two GEMMs (floor) | 2.5 s per sweep | 312 |  |" in text
    assert "| peak | polyadic | 1.07 |  | at most 1.5: met |" in text
    assert "Measured on 2026-11-28: a processor, 2 cores; torch 2.13." in text
    assert "- It was quiet." in text
    assert "Carried over from" not in text


def test_a_missed_target_is_said_in_its_row_and_at_the_head() -> None:
    head, _, rest = page.page(_made()).partition("## Decompositions")
    assert "- CP of a cube, TensorLy: relative at least 20: **missed**" in head
    assert "relative at least 20: **missed** |" in rest


def test_a_page_without_a_missed_target_says_so() -> None:
    assert "## Targets that were missed\n\nNone." in page.page({})


def test_what_was_carried_over_is_said() -> None:
    assert "*Carried over from an earlier run*: the old table." in page.page(_made(carried_over="the old table"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cp_dense.cube.tensorly.ratio", "11"),
        ("cp_dense.cube.tensorly.value", "0.0904"),
        ("cp_dense.cube.tensorly.spread", "0.013"),
        ("cp_dense.cube.tensorly.share", "0.088"),
        ("cp_dense.cube.tensorly.percent", "91.2"),
        ("cp_dense.cube.polyadic.quantity", "8 ms per sweep"),
        ("cp_dense.cube.two_gemms.quantity", "2.5 s per sweep"),
    ],
)
def test_a_figure_is_rewritten(name: str, text: str) -> None:
    quoted = f"It is <!-- figure: {name} -->0<!-- end --> and <!-- end -->."
    assert page.with_figures(quoted, _made()) == f"It is <!-- figure: {name} -->{text}<!-- end --> and <!-- end -->."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.cube.tensorly.ratio", "there is no docs/benchmarks/nothing.json"),
        ("cp_dense.cube.pyttb.ratio", "cp_dense has no row cube.pyttb"),
        ("cp_dense.cube.tensorly.speed", "no field speed, there are value, quantity"),
        ("cp_dense.cube.polyadic.spread", "the row has no spread"),
    ],
)
def test_a_figure_that_no_file_has_is_an_error(name: str, message: str) -> None:
    with pytest.raises(KeyError, match=message):
        page.with_figures(f"<!-- figure: {name} --><!-- end -->", _made())


def test_the_command_writes_the_page_and_the_documents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text("<!-- figure: cp_dense.cube.tensorly.ratio -->0<!-- end -->")
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "docs" / "benchmarks.md")
    monkeypatch.setattr(page, "read_all", _made)
    monkeypatch.setattr(page, "documents", lambda: [readme])
    assert page.main() == 0
    assert readme.read_text() == "<!-- figure: cp_dense.cube.tensorly.ratio -->11<!-- end -->"
    assert page.PAGE.read_text() == page.page(_made())
    assert "rewritten: README.md" in capsys.readouterr().out
