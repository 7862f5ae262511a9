"""The parts of the page that are replaced while it is looked at, each of them alone and only when it has changed.

Each part carries a hash of itself; a browser tells those that it shows, and gets the parts whose hash is another.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Fragment:
    """A part of the page; key: its id and its hash, as a browser tells them."""

    name: str
    key: str
    html: Markup


@dataclass(frozen=True)
class Section:
    """An endpoint's part: fragments, and the frame that they first come in."""

    name: str
    fragments: Mapping[str, Fragment]
    html: Markup


@dataclass(frozen=True)
class View:
    """What a URL shows: a template, fragments that always stand in it, and sections that come and go."""

    template: str
    title: str
    fragments: Mapping[str, Fragment]
    sections: Sequence[Section] = ()
    context: Mapping[str, Any] = field(default_factory=dict)


class Renderer:
    """The templates; what is put into them is escaped, as names, logs and failure reasons are anybody's."""

    def __init__(self, **common: Any) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= common

    def render(self, template: str, **context: Any) -> Markup:
        """A template with its values."""
        return Markup(self._environment.get_template(template).render(**context))

    def fragment(self, kind: str, of: str = "", **context: Any) -> Fragment:
        """A part made by fragments/KIND.html, of an endpoint where there is one of each endpoint."""
        name = f"{kind}-{of}" if of else kind
        content = self.render(f"fragments/{kind}.html", **context)
        key = f"{name}:{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        return Fragment(name, key, self.render("fragment.html", kind=kind, name=name, key=key, content=content))

    def page(self, view: View, **context: Any) -> str:
        """The whole of a view."""
        fragments = {name: fragment.html for name, fragment in view.fragments.items()}
        sections = [section.html for section in view.sections]
        values = {**view.context, **context, "title": view.title, "fragments": fragments, "sections": sections}
        return self.render(view.template, **values)

    def changes(self, view: View, seen: Sequence[str]) -> str:
        """The parts that differ from those that a browser shows, new sections, and what removes those that are gone."""
        shown = {name: key for key in seen if (name := key.rpartition(":")[0])}
        fragments = [*view.fragments.values(), *(each for one in view.sections for each in one.fragments.values())]
        changed = [each.html for each in fragments if each.name in shown and shown[each.name] != each.key]
        known = {name.removeprefix("status-") for name in shown if name.startswith("status-")}
        now = {section.name for section in view.sections}
        new = [section.html for section in view.sections if section.name not in known]
        return self.render("changes.html", changed=changed, new=new, gone=sorted(known - now)).strip()
