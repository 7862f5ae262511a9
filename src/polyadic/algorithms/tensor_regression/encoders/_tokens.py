"""Texts as numbers of words or characters that training saw.

Shapes: B texts, M known words of all of them, V words that are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polyadic.distributed import World
from polyadic.errors import UserError

WORD = re.compile(r"\w+")


def units(text: str, unit: str) -> list[str]:
    """The words or the characters of a text, in lower case."""
    lower = text.lower()
    return WORD.findall(lower) if unit == "words" else list(lower)


def vocabulary_of(texts: Sequence[str], modality: str, unit: str, size: int, world: World) -> tuple[str, ...]:
    """The most frequent units of the texts of all ranks; a collective. UserError where there is none at all."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(units(text, unit))
    # A rank sends what can be among the most frequent of all; rare units of single ranks are cut.
    whole: Counter[str] = Counter()
    for part in world.collect(dict(counts.most_common(8 * size))):
        whole.update(part)
    if not whole:
        raise UserError(f"the texts of {modality} hold no {unit}: give texts, or leave the column out")
    return tuple(sorted(sorted(whole, key=lambda each: (-whole[each], each))[:size]))


@dataclass(frozen=True)
class Tokens:
    """Numbers of the known units of texts: those of text b are ids[offsets[b]:offsets[b + 1]]."""

    offsets: NDArray[np.int64]
    ids: NDArray[np.int32]

    @staticmethod
    def of(texts: Sequence[str], unit: str, numbers: dict[str, int]) -> Tokens:
        """The units that have a number."""
        each = [[numbers[word] for word in units(text, unit) if word in numbers] for text in texts]
        offsets = np.cumsum([0, *map(len, each)]).astype(np.int64)
        return Tokens(offsets, np.fromiter((number for ids in each for number in ids), np.int32, int(offsets[-1])))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many known units each text has: B."""
        return np.diff(self.offsets)

    def taken(self, numbers: NDArray[np.int64] | slice) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Of some texts: for each of their units the place of its text among them, and its number."""
        chosen = np.arange(len(self.offsets) - 1)[numbers]
        lengths = self.lengths[chosen]
        owner = np.repeat(np.arange(len(chosen)), lengths)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return owner, self.ids[np.repeat(self.offsets[chosen], lengths) + within]
