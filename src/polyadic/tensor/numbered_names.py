"""Names for the tensors of a list, such as factor_0, factor_1, ..., and the list from the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def numbered(prefix: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """The tensors by the names `prefix`_0, `prefix`_1, ..., in their order."""
    return {f"{prefix}_{number}": tensor for number, tensor in enumerate(tensors)}


def in_order(prefix: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The list of which `numbered` made the names, among other names or not.

    Raises KeyError where a number is left out.
    """
    count = sum(name.startswith(f"{prefix}_") for name in tensors)
    return [tensors[f"{prefix}_{number}"] for number in range(count)]
