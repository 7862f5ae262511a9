"""Answers of a low-rank tensor: single entries are evaluated together, slices and rankings one by one.

Shapes: the tensor is I_1 x ... x I_N; B indices are B x N.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyadic.errors import UserError
from polyadic.lowrank.questions import Entries, Entry, Question, Slice, Top
from polyadic.tensor.low_rank import LowRank

ENTRIES_PER_BATCH = 2**16
"""Entries that are evaluated together: each takes as many numbers of memory as the rank."""


def evaluate(tensor: LowRank, index: NDArray[np.int64], device: torch.device) -> Tensor:
    """The entries (B) at B indices (B x N), evaluated in batches."""
    rows = torch.from_numpy(index).to(device)
    if len(rows) <= ENTRIES_PER_BATCH:
        return tensor.at(rows)
    return torch.cat([tensor.at(batch) for batch in torch.split(rows, ENTRIES_PER_BATCH)])


def answer_entries(
    tensor: LowRank, questions: Sequence[Entry | Entries], device: torch.device
) -> Iterator[dict[str, Any]]:
    """The answers in the order of the questions, each {"value": x} or {"values": B of them}."""
    if not questions:
        return
    single = [question.index for question in questions if isinstance(question, Entry)]
    blocks = [question.index for question in questions if isinstance(question, Entries)]
    index = np.concatenate([np.array(single, dtype=np.int64).reshape(-1, len(tensor.shape)), *blocks])
    values = evaluate(tensor, index, device).cpu()
    single_values = iter(values[: len(single)].tolist())
    block_values = iter(torch.split(values[len(single) :], [len(block) for block in blocks]) if blocks else ())
    for question in questions:
        if isinstance(question, Entry):
            yield {"value": next(single_values)}
        else:
            yield {"values": next(block_values).numpy()}


def answer(tensor: LowRank, question: Slice | Top) -> dict[str, Any]:
    """{"value": the slice, its null modes in their order} or {"top": the ranking}; of equal values the first row leads.

    A row of the ranking is {"index": row, "label": its label if it has one, "value": x}.
    """
    values = tensor.slice(question.index)
    if isinstance(question, Slice):
        return {"value": values.cpu().numpy()}
    allowed = torch.ones(len(values), dtype=torch.bool, device=values.device)
    allowed[list(question.exclude)] = False
    rows = allowed.nonzero()[:, 0]
    best = values[rows].topk(min(question.size, len(rows)), largest=not question.smallest)
    sign = 1 if question.smallest else -1
    ranked = sorted(zip((sign * best.values).tolist(), rows[best.indices].tolist(), strict=True))
    return {"top": [_name(question, row) | {"value": sign * value} for value, row in ranked]}


def about_row_0(question: Question, mode: int) -> Question:
    """The question, whose index leaves `mode` out, put to row 0 of that mode."""
    if isinstance(question, Entries):
        return Entries(np.insert(question.index, mode, 0, axis=1))
    if isinstance(question, Entry):
        return Entry((*question.index[:mode], 0, *question.index[mode:]))
    return replace(question, index=(*question.index[:mode], 0, *question.index[mode:]))


def as_table(answers: Sequence[Mapping[str, Any]]) -> NDArray[Any] | list[list[float]]:
    """Answers as rows of numbers: a value is a row, a slice is a row in row-major order, each of `values` is a row.

    B x K where the rows have the same length, else a list. Raises UserError for rankings and embeddings.
    """
    if all(item.keys() == {"value"} and isinstance(item["value"], float) for item in answers):
        return np.array([[item["value"]] for item in answers])
    blocks = [_rows(item) for item in answers]
    if len({block.shape[1] for block in blocks}) == 1:
        return np.concatenate(blocks)
    return [row for block in blocks for row in block.tolist()]


def _rows(item: Mapping[str, Any]) -> NDArray[Any]:
    if item.keys() == {"value"}:
        return np.reshape(item["value"], (1, -1))
    if item.keys() == {"values"}:
        return np.reshape(item["values"], (-1, 1))
    raise UserError(f"an answer with {' and '.join(item)} is no row of numbers")


def _name(question: Top, row: int) -> dict[str, Any]:
    labels = question.mode.labels
    return {"index": row} if labels is None else {"index": row, "label": labels[row]}
