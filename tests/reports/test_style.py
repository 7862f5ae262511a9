"""What pictures share: sizes, axes, and that a figure becomes the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from polyadic.reports import style
from tests.helpers.pages import colours_of, size_of


def test_a_figure_is_as_wide_as_all_and_as_high_as_asked() -> None:
    picture = style.as_png(style.new_figure(3.2))
    assert size_of(picture) == (style.WIDTH_INCHES * style.DOTS_PER_INCH, 3.2 * style.DOTS_PER_INCH)


def test_the_same_figure_gives_the_same_bytes_and_a_title_is_drawn() -> None:
    def picture(title: str) -> bytes:
        figure = style.new_figure(2)
        figure.subplots().plot([1, 2], [3, 4])
        return style.as_png(figure, title)

    assert picture("") == picture("")
    assert picture("a title") == picture("a title") != picture("")
    assert b"Software" not in picture("a title"), "a version of matplotlib would make the bytes another's"


def test_tidy_leaves_two_spines_and_a_grid() -> None:
    with_grid, without = style.new_figure(2).subplots(1, 2)
    style.tidy(with_grid)
    style.tidy(without, grid=False)
    for axis in (with_grid, without):
        visible = {name for name, spine in axis.spines.items() if spine.get_visible()}
        assert visible == {"left", "bottom"}
    assert [line.get_visible() for line in with_grid.get_ygridlines()].count(True) > 1
    assert not any(line.get_visible() for line in without.get_ygridlines())


@pytest.mark.parametrize(("first", "last", "room"), [(0, 0, 0.5), (0, 9, 0.5), (0, 200, 2.0), (10, 1010, 10.0)])
def test_span_leaves_room_beside_the_first_and_the_last_place(first: int, last: int, room: float) -> None:
    axis = style.new_figure(2).subplots()
    style.span(axis, first, last)
    assert axis.get_xlim() == (first - room, last + room)


@pytest.mark.parametrize("last", [1, 2, 7, 12_345])
def test_whole_numbers_are_counted_along_an_axis(last: int) -> None:
    axis = style.new_figure(2).subplots()
    axis.plot([1, last], [0, 0])
    style.count_along(axis)
    ticks = axis.get_xticks()
    assert len(ticks) >= 1 and (ticks == np.round(ticks)).all()
    assert axis.xaxis.get_major_formatter()(12_345.0, 0) == "12,345"


def test_few_points_have_dots() -> None:
    assert (style.marker(style.POINTS_MARKED), style.marker(style.POINTS_MARKED + 1)) == ("o", "")


def test_a_character_that_the_font_lacks_is_no_warning_and_others_are() -> None:
    figure = style.new_figure(2)
    figure.subplots().set_title("漢字")
    with pytest.warns(UserWarning, match="Glyph .* missing from"):
        style.as_png(figure)
    with style.missing_glyphs_ignored():
        assert colours_of(style.as_png(figure)) > 10
    with pytest.warns(UserWarning, match="another"), style.missing_glyphs_ignored():
        warnings.warn("another", stacklevel=1)


def test_pictures_leave_the_settings_of_matplotlib_alone() -> None:
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from polyadic.reports import decomposition_figures; decomposition_figures.fit([0.5, 0.4])\n"
        "sys.exit(before != matplotlib.rcParams.copy() or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_serving_does_not_read_matplotlib() -> None:
    """A model's package imports its report, and serving imports the package."""
    code = (
        "import sys, polyadic.reports.decomposition, polyadic.reports.forecast, polyadic.reports.topics\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
