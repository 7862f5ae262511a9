"""Families whose members are found by being there: algorithms, formats, cells, likelihoods and losses alike."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The members of a family by their names: one module, or package, of `package` declares each.

    A member is what its module calls `attribute`; it has a `name`, which is the module's, with dashes for underscores
    (in capitals where its users write them so). A module whose name begins with an underscore is no member, but a part
    of some. A member is imported when it is asked for, and all are when they are listed, in the order of their names.

    Raises ImportError for a module that declares no member, or one of another kind or name.
    """

    def __init__(self, package: str, attribute: str, kind: type[Any]) -> None:
        self._package, self._attribute, self._kind = package, attribute, kind

    def __getitem__(self, name: str) -> T:
        module_name = name.lower().replace("-", "_")
        if module_name not in self._module_names():
            raise KeyError(name)
        member = self._load(module_name)
        if member.name != name:  # type: ignore[attr-defined]  # `_load` has seen that it has one.
            raise KeyError(name)
        return member

    def __iter__(self) -> Iterator[str]:
        for module_name in self._module_names():
            yield self._load(module_name).name  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._module_names())

    def _module_names(self) -> tuple[str, ...]:
        return _module_names(tuple(importlib.import_module(self._package).__path__))

    def _load(self, module_name: str) -> T:
        module = importlib.import_module(f"{self._package}.{module_name}")
        member: Any = getattr(module, self._attribute, None)
        fits = isinstance(member, self._kind) or (isinstance(member, type) and issubclass(member, self._kind))
        if not fits:
            raise ImportError(
                f"{module.__name__} declares {self._attribute} = {member!r}: it must be a {self._kind.__name__}. "
                "The name of a module that declares none begins with an underscore"
            )
        if member.name.lower().replace("-", "_") != module_name:
            raise ImportError(f"{module.__name__} declares the name {member.name!r}: it must be the module's own")
        return member  # type: ignore[no-any-return]


@lru_cache
def _module_names(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")))
