"""Keywords that once had another name: the old name is refused with the new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from polyadic.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for a function whose keywords were renamed: `@renamed(old="new")`.

    The function then raises UserError where it is called with an old keyword.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*arguments: P.args, **keywords: P.kwargs) -> R:
            for old, new in names.items():
                if old in keywords:
                    name = function.__name__
                    raise UserError(f"the argument {old} of {name} is called {new}: write {new}={keywords[old]}")
            return function(*arguments, **keywords)

        return call

    return decorate
