"""The pages of README and docs as the tests read them: their code blocks, headings and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>[\w ]+) -->\n)?(?P<fence>```+)(?P<language>\w*)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
FILE = re.compile(r"# (src/polyadic/[\w/]+\.py)\n")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block: the line of its page where its code begins, its language, and what a comment says that it needs."""

    page: Path
    line: int
    language: str
    code: str
    needs: str | None

    @property
    def file(self) -> str | None:
        """The path in the repository that a block begins with, where it shows a whole file."""
        match = FILE.match(self.code)
        return match[1] if match else None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in their order."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, match.start("code")) + 1, match["language"], match["code"], match["needs"])
        for match in FENCE.finditer(text)
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = FENCE.sub("", page.read_text())
    plain = [heading.lower().replace("`", "") for heading in HEADING.findall(text)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures outside of its code."""
    return LINK.findall(FENCE.sub("", page.read_text()))
