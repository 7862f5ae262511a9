"""Sphinx's settings: `make docs` builds these pages and a reference of the library's functions into out/docs."""

from __future__ import annotations

import re
from typing import Any

project = "Polyadic"
author = "The authors of Polyadic"
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "Polyadic"
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # A page may begin below the first level of headings.
nitpicky = True
# What is documented elsewhere, and types of our own that only annotations name.
nitpick_ignore_regex = [
    ("py:.*", r"(torch|numpy|np|nn|collections|datetime|typing|pathlib|optional|polyadic)\b.*|[A-Z]\w*")
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
CODE = re.compile(r"`([^`]+)`")


def as_written(text: str) -> str:
    """A docstring, which is plain text with code between backticks, as reStructuredText that shows it so."""
    parts = CODE.split(text)
    return "".join(
        f"``{part}``" if number % 2 else re.sub(r"([\\*|_])", r"\\\1", part) for number, part in enumerate(parts)
    )


def plain_docstrings(_app: Any, _kind: str, _name: str, _member: Any, _options: Any, lines: list[str]) -> None:
    """Escapes what a docstring did not mean as markup: |X - Y|, A^(n), 2 * 3."""
    lines[:] = as_written("\n".join(lines)).split("\n")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_docstrings)
