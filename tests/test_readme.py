"""The README is short, names what is there, and leads where it says; so do the pages of docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.commands import exists
from tests.docs.pages import PAGES, ROOT, anchors, links

README = ROOT / "README.md"
MOST_LINES = 170


def tree() -> list[str]:
    """The paths that the README's tree names."""
    text = README.read_text().split("## The tree")[1].split("```")[1]
    paths, parent = [], ""
    for line in filter(None, text.splitlines()[1:]):
        name = line.split()[0]
        parent = parent if line.startswith(" ") else name if name == "src/polyadic/" else ""
        paths.append(f"{parent}{name}" if line.startswith(" ") else name)
    return paths


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_the_tree_names_what_is_there() -> None:
    for path in tree():
        assert (ROOT / path).exists(), path


def test_the_tree_names_every_room() -> None:
    rooms = {path for path in (ROOT / "src" / "polyadic").iterdir() if (path / "__init__.py").exists()}
    named = {ROOT / path for path in tree()}
    assert rooms <= named
    assert len(rooms) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+)", page.read_text()):
        assert exists(module.rstrip(".")), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_path_in_the_text_exists(page: Path) -> None:
    for path in re.findall(r"`((?:src|tests|scripts|local_mode|container|docs|examples)/[\w./]*)`", page.read_text()):
        assert (ROOT / path).exists(), path


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading: `code`, and *more*\n\n[a](b.md) ![c](d.png)\n\n```text\n[not](alink)\n```\n")
    assert links(page) == ["b.md", "d.png"]
    assert anchors(page) == {"a-heading-code-and-more"}


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}
    assert {page for page in PAGES if page != README} <= linked


def test_the_tables_of_hyperparameters_stand_on_their_own_page() -> None:
    assert "| default | allowed |" not in README.read_text()
    assert "| default | allowed |" in (ROOT / "docs" / "hyperparameters.md").read_text()
