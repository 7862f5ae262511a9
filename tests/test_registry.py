"""A family's members are found by being there, and what is no member is an error at import."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from polyadic.registry import Registry

Write = Callable[..., Registry[str]]


class Named(str):
    """A member that knows nothing but its name."""

    @property
    def name(self) -> str:
        return str(self)


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A package of modules, given as text, and its registry."""

    def write(**modules: str) -> Registry[str]:
        package = tmp_path.name
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        for name, text in modules.items():
            (tmp_path / package / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return Registry(package, "MEMBER", Named)

    return write


def member(name: str) -> str:
    return f"from tests.test_registry import Named\nMEMBER = Named({name!r})\n"


def test_members_are_found_in_the_order_of_their_names(family: Write) -> None:
    registry = family(pear=member("pear"), apple_tree=member("apple-tree"), _part="raise RuntimeError")
    assert list(registry) == ["apple-tree", "pear"]
    assert len(registry) == 2 and registry["pear"] == "pear"


def test_a_member_is_imported_when_it_is_asked_for(family: Write) -> None:
    registry = family(good=member("good"), bad="raise RuntimeError('read')")
    assert registry["good"] == "good"
    with pytest.raises(RuntimeError, match="read"):
        list(registry)


def test_capitals_are_the_members_own(family: Write) -> None:
    registry = family(student_t=member("student-T"))
    assert registry["student-T"] == "student-T"
    assert "student-t" not in registry and "other" not in registry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MEMBRE = 1", r"declares MEMBER = None: it must be a Named\. The name of a module that declares none begins"),
        ("MEMBER = 1", "declares MEMBER = 1: it must be a Named"),
        (member("other"), "declares the name 'other': it must be the module's own"),
    ],
)
def test_what_is_no_member_is_an_error_at_import(text: str, message: str, family: Write) -> None:
    with pytest.raises(ImportError, match=message):
        list(family(odd=text))
