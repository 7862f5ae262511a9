"""One HTML page that needs no other file and no network: its tables, its pictures, how it is written."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = "report.html"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#22272e;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}table{border-collapse:collapse;margin:1.5rem 0;width:100%}"
    "caption{text-align:left;font-weight:600;padding:.25rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid #e6e8eb}"
    "th{font-weight:400;color:#6e7781}th[scope=row]:nth-last-child(2){width:16rem}"
    "td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "figure{margin:2rem 0}img{max-width:100%;height:auto}figcaption{color:#6e7781;font-size:.875rem}"
)


class Picture(NamedTuple):
    """What a picture shows, and the picture itself as the bytes of a PNG file."""

    caption: str
    png: bytes


def write_page(folder: Path, text: str) -> None:
    """Writes the page into a folder as report.html, whole or not at all."""
    waiting = folder / f".{PAGE}.partial"
    waiting.write_text(text, encoding="utf-8")
    os.replace(waiting, folder / PAGE)


def document(title: str, parts: Iterable[str]) -> str:
    """The page of a title and the parts under it, which are HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n</head>\n<body>\n'
        f"<h1>{html.escape(title)}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def table(caption: str, rows: Iterable[Sequence[object]], columns: Sequence[str] = ()) -> str:
    """A table as HTML; empty text where there is no row.

    rows: each begins with its name. columns: the names of all columns, that of the rows' names included.
    """
    names = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    head = f"<thead>\n<tr>{names}</tr>\n</thead>\n" if columns else ""
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td>{_text(value)}</td>" for value in values)}</tr>\n'
        for name, *values in rows
    )
    return f"<table>\n<caption>{_text(caption)}</caption>\n{head}<tbody>\n{body}</tbody>\n</table>\n" if body else ""


def figure(file_name: str, caption: str, png: bytes) -> str:
    """A picture as HTML, with its caption and the name of the file that holds it too."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return (
        f'<figure>\n<img src="{source}" alt="{_text(caption)}">\n'
        f"<figcaption>{_text(caption)} ({_text(file_name)})</figcaption>\n</figure>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
