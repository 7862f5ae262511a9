"""Samples of a regression as files of a channel: tensors, pictures with questions, several modalities."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polyadic.formats import images
from tests.helpers.tiny_jobs import lines

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 210)}


def npz_bytes(**arrays: Any) -> bytes:
    """What numpy.savez writes."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def planted(count: int, seed: int = 0, noise: float = 0.05, shape: Sequence[int] = (6, 5)) -> tuple[Any, Any]:
    """Tensors, and numbers that a weight of rank 1 gives."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, *shape)).astype(np.float32)
    weight = np.ones(())
    for rows in shape:
        weight = np.multiply.outer(weight, np.cos(np.arange(rows)))
    return x, np.tensordot(x, weight, len(shape)) + 3 + noise * random.normal(size=count)


def table(x: Any, label: Any) -> bytes:
    """JSON Lines of features and labels."""
    return lines(
        [{"label": y, "features": each.tolist()} for each, y in zip(x, np.asarray(label).tolist(), strict=True)]
    )


def pictures_and_questions(count: int, seed: int = 0, side: int = 8) -> dict[str, bytes]:
    """Pictures of one colour and a table that asks `is it red?`; the answer is a product of both."""
    random, files, rows = np.random.default_rng(seed), dict[str, bytes](), ["file,question,label"]
    for number, (name, colour) in enumerate(COLOURS.items()):
        shade = random.integers(-20, 20, (side, side, 3))
        files[f"{name}.png"] = images.encode(np.clip(np.array(colour) + shade, 0, 255).astype(np.uint8))
        assert number < 3
    names = list(COLOURS)
    for _ in range(count):
        shown, asked = (names[place] for place in random.integers(0, 3, 2))
        rows.append(f"{shown}.png,is it {asked}?,{'yes' if shown == asked else 'no'}")
    files["questions.csv"] = ("\n".join(rows) + "\n").encode()
    return files


def three_views(count: int, seed: int = 0) -> Mapping[str, Any]:
    """Three vectors whose first numbers' product gives the class."""
    random = np.random.default_rng(seed)
    views = {name: random.normal(size=(count, size)) for name, size in (("a", 4), ("b", 3), ("c", 5))}
    score = views["a"][:, 0] * views["b"][:, 0] * views["c"][:, 0]
    return {**views, "label": (score > 0).astype(int)}
