"""The HTML of a page: tables, pictures, that text stays text, and how the file is written."""

from __future__ import annotations

import re
from pathlib import Path

from polyadic.reports.page import PAGE, Picture, document, figure, table, write_page
from tests.helpers.pages import Page

MARKUP = "<b>&\"'"


def test_a_document_has_a_title_and_its_parts_and_needs_no_other_file() -> None:
    text = document("A title", ["<p>first</p>", "<p>second</p>"])
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert page.elements == ["html", "head", "meta", "title", "meta", "style", "body", "h1", "p", "p"]
    assert page.cells == ["A title"] and page.stands_alone
    assert not re.search(r"https?://|<script|@import|url\(", text)


def test_a_table_has_a_row_per_name_and_a_head_where_columns_are_named() -> None:
    rows = [("one", 1, 2.5), ("two", "x", None)]
    plain, headed = Page(table("Numbers", rows)), Page(table("Numbers", rows, ("name", "first", "second")))
    assert plain.cells == ["one", "1", "2.5", "two", "x", "None"]
    assert headed.cells == ["name", "first", "second", *plain.cells]
    assert plain.elements.count("tr") == 2 and headed.elements.count("tr") == 3
    assert "thead" not in plain.elements and "<caption>Numbers</caption>" in table("Numbers", rows)


def test_a_table_of_no_row_is_left_out() -> None:
    assert table("Nothing", [], ("name", "value")) == ""


def test_a_picture_lies_in_the_page() -> None:
    png = bytes(range(256))
    text = figure("fit.png", *Picture("The error", png))
    assert Page(text).pictures == {"The error": png}
    assert "<figcaption>The error (fit.png)</figcaption>" in text


def test_text_is_no_markup() -> None:
    page = Page(document(MARKUP, [table(MARKUP, [(MARKUP, MARKUP)], (MARKUP, MARKUP)), figure(MARKUP, MARKUP, b"")]))
    assert "b" not in page.elements
    assert page.cells == [MARKUP] * 5 and page.pictures == {MARKUP: b""}


def test_a_page_is_written_over_an_earlier_one_and_leaves_no_other_file(tmp_path: Path) -> None:
    for text in ("earlier, and longer than what follows", "é漢"):
        write_page(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == [PAGE]
    assert (tmp_path / PAGE).read_bytes().decode("utf-8") == "é漢"
