"""Questions put to a low-rank tensor: entries together, slices and rankings one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.errors import UserError
from polyadic.lowrank.queries import Entries, Entry, Question, Slice, Top

if TYPE_CHECKING:
    from polyadic.lowrank.model import LowRank

AT_ONCE = 2**16
"""Entries evaluated together: each takes as much room as the rank is long."""


def evaluate(tensor: LowRank, index: NDArray[np.int64], device: torch.device) -> Tensor:
    """The entries at B indices (B x N), some at a time: B."""
    rows = torch.from_numpy(index).to(device)
    return torch.cat([tensor.at(part) for part in torch.split(rows, AT_ONCE)])


def entries(tensor: LowRank, asked: Sequence[Entry | Entries], device: torch.device) -> Iterator[dict[str, Any]]:
    """{"value": x} or {"values": [...]} for each."""
    if not asked:
        return
    alone = [one.index for one in asked if isinstance(one, Entry)]
    parts = [one.index for one in asked if isinstance(one, Entries)]
    index = np.concatenate([np.array(alone, dtype=np.int64).reshape(-1, len(tensor.shape)), *parts])
    values = evaluate(tensor, index, device).cpu()
    single = iter(values[: len(alone)].tolist())
    many = iter(torch.split(values[len(alone) :], [len(part) for part in parts]))
    for one in asked:
        yield {"value": next(single)} if isinstance(one, Entry) else {"values": next(many).numpy()}


def look(tensor: LowRank, query: Slice | Top) -> dict[str, Any]:
    """{"value": the slice} or {"top": [...]}, of equals the first row first."""
    values = tensor.slice(query.index)
    if isinstance(query, Slice):
        return {"value": values.cpu().numpy()}
    allowed = torch.ones(len(values), dtype=torch.bool, device=values.device)
    allowed[list(query.exclude)] = False
    rows = allowed.nonzero()[:, 0]
    best = values[rows].topk(min(query.size, len(rows)), largest=not query.smallest)
    sign = 1 if query.smallest else -1
    ranked = sorted(zip((sign * best.values).tolist(), rows[best.indices].tolist(), strict=True))
    return {"top": [_name(query, row) | {"value": sign * value} for value, row in ranked]}


def about_row_0(question: Question, mode: int) -> Question:
    """A question whose index leaves `mode` out, put to row 0 of that mode."""
    if isinstance(question, Entries):
        return Entries(np.insert(question.index, mode, 0, axis=1))
    if isinstance(question, Entry):
        return Entry((*question.index[:mode], 0, *question.index[mode:]))
    index = (*question.index[:mode], 0, *question.index[mode:])
    if isinstance(question, Slice):
        return Slice(index, question.size)
    return Top(index, question.size, question.mode, question.exclude, question.smallest)


def table(answers: Sequence[Mapping[str, Any]]) -> NDArray[Any] | list[list[float]]:
    """Answers as rows of numbers: a value, or a slice in row-major order, is a row; each of `values` is one.

    B x K where the rows are of one length, else a list. UserError for rankings and embeddings.
    """
    if all(answer.keys() == {"value"} and isinstance(answer["value"], float) for answer in answers):
        return np.array([[answer["value"]] for answer in answers])
    blocks = []
    for answer in answers:
        if answer.keys() == {"value"}:
            blocks.append(np.reshape(answer["value"], (1, -1)))
        elif answer.keys() == {"values"}:
            blocks.append(np.reshape(answer["values"], (-1, 1)))
        else:
            raise UserError(f"an answer with {' and '.join(answer)} is no row of numbers")
    if len({block.shape[1] for block in blocks}) == 1:
        return np.concatenate(blocks)
    return [row for block in blocks for row in block.tolist()]


def _name(query: Top, row: int) -> dict[str, Any]:
    labels = query.mode.labels
    return {"index": row} if labels is None else {"index": row, "label": labels[row]}
