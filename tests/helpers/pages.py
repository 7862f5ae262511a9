"""What an HTML page and a PNG picture of a report hold."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from PIL import Image

WITHOUT_END = {"meta", "img"}


class Page(HTMLParser):
    """The parts of a page, in which every element is closed in its turn.

    cells: the text of the title and of every cell of a table. pictures: the PNG files by their alternative texts.
    references: every address. elements: the names of all elements, in their order.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.unclosed: list[str] = []
        self.cells: list[str] = []
        self.pictures: dict[str, bytes] = {}
        self.references: list[str] = []
        self.elements: list[str] = []
        self.feed(text)
        self.close()
        assert self.unclosed == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append(tag)
        self.references += [str(attributes[name]) for name in ("src", "href") if name in attributes]
        if tag == "img":
            assert attributes["alt"]
            kind, _, data = str(attributes["src"]).partition(",")
            assert kind == "data:image/png;base64"
            self.pictures[str(attributes["alt"])] = base64.b64decode(data, validate=True)
        if tag not in WITHOUT_END:
            self.unclosed.append(tag)
            if tag in ("th", "td", "title"):
                self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed and self.unclosed[-1] in ("th", "td", "title"):
            self.cells[-1] += data

    @property
    def stands_alone(self) -> bool:
        """Whether the page needs no other file and no network."""
        return all(reference.startswith("data:") for reference in self.references) and "script" not in self.elements


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a picture in pixels."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def colours_of(png: bytes) -> int:
    """How many colours a picture has: more than ten where anything but a blank page is drawn."""
    with Image.open(io.BytesIO(png)) as image:
        return len(image.convert("RGB").getcolors(2**24) or [])
