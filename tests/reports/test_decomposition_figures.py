"""The pictures of a decomposition: what their axes hold, for few and many rows and columns, zeros and odd labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from polyadic.reports import decomposition_figures as figures
from polyadic.reports.spectrum import Spectrum
from polyadic.reports.style import POINTS_MARKED, missing_glyphs_ignored
from tests.helpers.pages import colours_of, size_of


def draw_factor(rows: NDArray[np.float64], **changes: Any) -> bytes:
    columns = rows.shape[1]
    arguments: dict[str, Any] = {
        "title": "Mode 0",
        "row_numbers": np.arange(len(rows)),
        "row_count": len(rows),
        "row_labels": None,
        "column_names": [f"component {column}" for column in range(columns)],
        "column_kind": "component",
    }
    with missing_glyphs_ignored():
        return figures.factor(rows, **{**arguments, **changes})


def heights(axis: Axes) -> list[float]:
    """The heights of the bars of an axis."""
    return [bar.get_height() for bar in axis.patches]  # type: ignore[attr-defined]  # Each patch is a rectangle.


def bars(axis: Axes) -> NDArray[np.float64]:
    """The zero line and the end of each bar of the bands of an axis (N x 2)."""
    return np.array([np.asarray(path.vertices)[:2, 1] for drawn in axis.collections for path in drawn.get_paths()])


def tick_labels(axis: Axes) -> list[str]:
    return [label.get_text() for label in axis.get_xticklabels()]


def normal(rows: int, columns: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=(rows, columns))


def names_of_bands(axis: Axes) -> list[str]:
    return [text.get_text() for text in axis.texts]


def test_columns_of_few_rows_are_bars_in_bands(drawn: list[Figure]) -> None:
    rows = normal(5, 3)
    draw_factor(rows)
    (axis,) = drawn[0].axes
    assert names_of_bands(axis) == ["component 0", "component 1", "component 2"]
    bottoms, tops = bars(axis).T
    np.testing.assert_allclose(tops - bottoms, rows.T.ravel())
    zeros = bottoms[::5]
    assert (bottoms == np.repeat(zeros, 5)).all() and zeros[0] == 0
    assert zeros[0] - zeros[1] == zeros[1] - zeros[2] > np.ptp(rows), "a band would reach into the next"
    assert axis.get_xlabel() == "row" and axis.get_xlim() == (-0.5, 4.5)


def test_columns_of_many_rows_are_lines_in_bands(drawn: list[Figure]) -> None:
    rows = normal(POINTS_MARKED + 1, 2)
    draw_factor(rows)
    (axis,) = drawn[0].axes
    assert not axis.collections
    curves = [np.asarray(line.get_ydata()) for line in axis.lines if len(line.get_ydata()) == len(rows)]  # type: ignore[arg-type]
    np.testing.assert_allclose(curves[0], rows[:, 0])
    np.testing.assert_allclose(curves[1] - curves[1][0], rows[:, 1] - rows[0, 1])
    marks = dict(zip(axis.get_yticks(), (label.get_text() for label in axis.get_yticklabels()), strict=True))
    assert [name for _, name in sorted(marks.items())].count("0") == 2, "each band has its own marks"


@pytest.mark.parametrize("rows", [np.zeros((5, 2)), np.full((50, 1), 3.0), np.full((1, 3), -2.0), normal(3, 6) * 1e-12])
def test_bands_of_odd_values_are_drawn(rows: NDArray[np.float64], drawn: list[Figure]) -> None:
    draw_factor(rows)
    assert len(names_of_bands(drawn[0].axes[0])) == rows.shape[1]


def test_many_columns_are_a_heat_map(drawn: list[Figure]) -> None:
    rows = normal(50, 60)
    draw_factor(rows)
    axis, colour_bar = drawn[0].axes
    (image,) = axis.images
    np.testing.assert_array_equal(image.get_array(), rows.T)
    assert image.get_cmap().name == "RdBu_r" and list(image.get_extent()) == [-0.5, 49.5, 59.5, -0.5]
    limit = np.percentile(np.abs(rows), 99.5)
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((-limit, limit))
    assert axis.get_ylabel() == "component" and colour_bar.get_ylabel() == "loading"
    named = [label.get_text() for label in axis.get_yticklabels()]
    assert named == [f"component {column}" for column in range(0, 60, 3)], "60 names have no room"


def test_a_heat_map_without_negative_loadings_begins_at_white(drawn: list[Figure]) -> None:
    draw_factor(np.abs(normal(50, 7)))
    (image,) = drawn[0].axes[0].images
    assert image.get_cmap().name == "Blues" and image.norm.vmin == 0


@pytest.mark.parametrize("columns", [1, 9])
def test_zeros_are_drawn_as_nothing(columns: int, drawn: list[Figure]) -> None:
    draw_factor(np.zeros((5, columns)))
    axis = drawn[0].axes[0]
    if columns == 1:
        assert (bars(axis) == 0).all() and len(bars(axis)) == 5 and axis.get_ylim()[0] < 0 < axis.get_ylim()[1]
    else:
        assert not np.asarray(axis.images[0].get_array()).any() and axis.images[0].norm.vmax == 1


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (
            ("$5", "x_{", "漢字", "a\nb\x00", "", "word " * 20),
            ["$5", "x_{", "漢字", "a b ", "", "word word word word wor…"],
        ),
        (tuple(map(str, range(POINTS_MARKED))), list(map(str, range(POINTS_MARKED)))),
    ],
)
def test_labels_of_any_kind_are_drawn_as_they_are(
    labels: tuple[str, ...], shown: list[str], drawn: list[Figure]
) -> None:
    picture = draw_factor(normal(len(labels), 2), row_labels=labels)
    axis = drawn[0].axes[-1]
    assert tick_labels(axis) == shown and axis.get_xlabel() == ""
    assert size_of(picture)[1] > size_of(draw_factor(normal(len(labels), 2)))[1], "labels have room of their own"


def test_long_labels_are_turned(drawn: list[Figure]) -> None:
    for labels in (("ann", "bob"), ("a" * 24, "b" * 24, "c" * 24, "d" * 24)):
        draw_factor(normal(len(labels), 1), row_labels=labels)
    assert [figure.axes[0].get_xticklabels()[0].get_rotation() for figure in drawn] == [0, 90]


def test_more_labels_than_there_is_room_for_are_left_out(drawn: list[Figure]) -> None:
    rows = POINTS_MARKED + 1
    assert draw_factor(normal(rows, 1), row_labels=tuple(map(str, range(rows)))) == draw_factor(normal(rows, 1))
    assert drawn[0].axes[0].get_xlabel() == "row"


def test_a_sample_of_rows_says_that_it_is_one(drawn: list[Figure]) -> None:
    row_numbers = figures.sample(10_000_000)
    draw_factor(normal(len(row_numbers), 1), row_numbers=row_numbers, row_count=10_000_000)
    assert drawn[0].axes[0].get_xlabel() == "row (2,000 of 10,000,000 drawn)"


def test_the_rows_of_a_sample_lie_at_even_distances() -> None:
    row_numbers = figures.sample(10_000_000)
    assert len(row_numbers) == figures.ROWS_DRAWN and row_numbers[0] == 0 and row_numbers[-1] == 9_999_999
    assert set(np.diff(row_numbers)) <= {5002, 5003}
    assert figures.sample(3).tolist() == [0, 1, 2] and figures.sample(1).tolist() == [0]


@pytest.mark.parametrize(
    ("history", "scale", "title"),
    [
        ([0.5], "linear", "Relative error 0.5 after 1 sweep"),
        ([0.9, 0.5, 0.25], "linear", "Relative error 0.25 after 3 sweeps"),
        ([0.9, 0.001], "log", "Relative error 0.001 after 2 sweeps"),
        ([0.9, 0.0], "linear", "Relative error 0 after 2 sweeps"),
    ],
)
def test_the_fit_shows_the_error_of_each_sweep(
    history: list[float], scale: str, title: str, drawn: list[Figure]
) -> None:
    figures.fit(history)
    (axis,) = drawn[0].axes
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), history)
    np.testing.assert_array_equal(axis.lines[0].get_xdata(), range(1, len(history) + 1))
    assert axis.get_yscale() == scale
    assert drawn[0].get_suptitle() == title


def curve(values: list[float], **changes: Any) -> Spectrum:
    shape: dict[str, Any] = {"curves": {"weight": np.array(values)}, "ticks": tuple(map(str, range(len(values))))}
    return Spectrum(title="Weights", x_label="component", y_label="weight", **{**shape, **changes})


def test_a_short_curve_is_bars_with_names(drawn: list[Figure]) -> None:
    figures.spectrum([curve([3, 2, 1], ticks=("1", "2", "0"))])
    (axis,) = drawn[0].axes
    assert heights(axis) == [3, 2, 1] and tick_labels(axis) == ["1", "2", "0"]
    assert (axis.get_xlabel(), axis.get_ylabel(), drawn[0].get_suptitle()) == ("component", "weight", "Weights")


def test_a_long_curve_is_a_line(drawn: list[Figure]) -> None:
    values = list(np.arange(POINTS_MARKED + 1.0)[::-1])
    figures.spectrum([curve(values)])
    (axis,) = drawn[0].axes
    assert not axis.patches and axis.get_legend() is None
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), values)


def test_several_spectra_are_panels_and_several_curves_have_a_legend(drawn: list[Figure]) -> None:
    curves = {f"mode {mode}": np.array([0.9, 0.1, 1e-20]) for mode in range(9)}
    figures.spectrum([curve([2, 1]), curve([], curves=curves, ticks=(), logarithmic=True)])
    bars, lines = drawn[0].axes
    assert [axis.get_title(loc="left") for axis in (bars, lines)] == ["Weights", "Weights"]
    assert lines.get_yscale() == "log"
    assert all(np.asarray(line.get_ydata()).tolist() == [0.9, 0.1] for line in lines.lines), (
        "what is zero but for round-off is left out"
    )
    legend = lines.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == list(curves)


def test_a_spectrum_of_zeros_is_drawn(drawn: list[Figure]) -> None:
    curves = {"mode 0": np.zeros(3), "mode 1": np.zeros(2)}
    figures.spectrum([curve([], curves=curves, ticks=(), logarithmic=True)])
    assert drawn[0].axes[0].get_yscale() == "linear"
    assert all(np.asarray(line.get_ydata()).size == 0 for line in drawn[0].axes[0].lines)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 250), (41, 6), (41, 40), (2, 100)])
def test_any_number_of_rows_and_columns_is_drawn(rows: int, columns: int) -> None:
    picture = draw_factor(normal(rows, columns))
    width, height = size_of(picture)
    assert width == 1200 and 250 < height < 1800 and colours_of(picture) > 10
