"""The report of topics: its files, its page, and that words of any kind are drawn as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from polyadic.reports import topics as report
from polyadic.topics.spectral import Topics
from tests.helpers.pages import Page, colours_of, size_of

METRICS = {"test:pwll": -5.5, "train:perplexity": 123.456}
MIXTURES = torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9]])


def two_topics(terms: int = 20) -> Topics:
    """Topics of which the first has the first terms, and the second the last terms, as its top words."""
    falling = torch.arange(terms, 0, -1, dtype=torch.float64)
    beta = torch.stack([falling, falling.flip(0)])
    return Topics(beta / beta.sum(1, keepdim=True), torch.tensor([0.6, 0.2], dtype=torch.float64))


def write(
    folder: Path, vocabulary: Sequence[str] | None, coherences: Sequence[float] = (), mixtures: Tensor = MIXTURES
) -> Page:
    report.write_report(
        folder,
        topics=two_topics(),
        vocabulary=vocabulary,
        metrics=METRICS,
        coherences=coherences,
        sample_mixtures=mixtures,
    )
    return Page((folder / "report.html").read_text())


def test_arrays_numbers_picture_and_page_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    page = write(folder, [f"word{number}" for number in range(20)], [0.25, -0.125])
    names = {"alpha.npy", "beta.npy", "metrics.json", "topics.json", "topics.png", "report.html"}
    assert {path.name for path in folder.iterdir()} == names
    np.testing.assert_array_equal(np.load(folder / "beta.npy"), two_topics().beta)
    np.testing.assert_array_equal(np.load(folder / "alpha.npy"), [0.6, 0.2])
    assert orjson.loads((folder / "metrics.json").read_bytes()) == METRICS
    assert list(page.pictures.values()) == [(folder / "topics.png").read_bytes()] and page.stands_alone


def test_topics_are_described_for_machines(tmp_path: Path) -> None:
    write(tmp_path, [f"word{number}" for number in range(20)], [0.25, -0.125])
    first, second = orjson.loads((tmp_path / "topics.json").read_bytes())
    assert (first["topic"], first["alpha"], first["NPMI"]) == (0, 0.6, 0.25)
    assert first["share"] == pytest.approx(0.75)
    assert first["words"] == {f"word{n}": pytest.approx((20 - n) / 210) for n in range(report.WORDS_PER_TOPIC)}
    assert list(second["words"])[:2] == ["word19", "word18"]


def test_without_a_vocabulary_a_word_is_its_number_and_without_coherences_there_is_no_npmi(tmp_path: Path) -> None:
    page = write(tmp_path, None)
    first = orjson.loads((tmp_path / "topics.json").read_bytes())[0]
    assert list(first["words"])[:3] == ["0", "1", "2"] and "NPMI" not in first
    assert page.cells[page.cells.index("0.750") + 1] == ""


def test_the_page_has_a_row_per_topic_and_the_measures(tmp_path: Path) -> None:
    page = write(tmp_path, [f"<w{number}>" for number in range(20)], [0.25, -0.125])
    words = [", ".join(f"<w{n}>" for n in numbers) for numbers in (range(12), range(19, 7, -1))]
    assert page.cells == [
        *("2 topics", "topic", "share", "NPMI", "top words"),
        *("0", "0.750", "0.250", words[0]),
        *("1", "0.250", "-0.125", words[1]),
        *("test:pwll", "-5.5", "train:perplexity", "123.5"),
    ]


def test_documents_are_drawn_in_the_order_of_their_main_topics(drawn: list[Figure]) -> None:
    picture = report.draw(two_topics(), ["0  a, b, c", "1  d, e, f"], MIXTURES)
    left, right = drawn[0].axes
    mixtures = left.images[0].get_array()
    np.testing.assert_array_equal(mixtures, MIXTURES[[1, 2, 3, 0]].T)
    assert [label.get_text() for label in left.get_yticklabels()] == ["0  a, b, c", "1  d, e, f"]
    assert left.get_xlabel() == "4 documents, by their main topic"
    assert [bar.get_width() for bar in right.patches] == [0.6, 0.2]  # type: ignore[attr-defined]  # Each patch is a rectangle.
    assert size_of(picture) == (1000, 194)


def test_without_documents_the_parameters_are_drawn_alone(drawn: list[Figure]) -> None:
    assert colours_of(report.draw(two_topics(), ["0", "1"], torch.zeros(0, 2))) > 10
    left, right = drawn[0].axes
    assert not left.images and left.get_xlabel() == "0 documents, by their main topic"
    assert len(right.patches) == 2


def test_words_of_any_script_are_drawn_as_they_are(tmp_path: Path, drawn: list[Figure]) -> None:
    write(tmp_path, [f"詞 $\\frac_{number}" for number in range(20)])
    drawn_label = drawn[0].axes[0].get_yticklabels()[0].get_text()
    assert drawn_label == r"0  詞 \$\frac_0, 詞 \$\frac_1, 詞 \$\frac_2", "a dollar sign begins no formula"
