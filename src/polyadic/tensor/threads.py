"""A CPU kernel's work, over as many threads as torch may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch

PARTS_A_THREAD = 2
"""More parts than threads: one thread may be held up by what else the machine does."""


def in_parallel(kernel: Callable[..., None], edges: Sequence[int], *arguments: Any) -> None:
    """kernel(*arguments, begin, end) for each pair of neighbouring edges."""
    parts = [(begin, end) for begin, end in pairwise(edges) if end > begin]
    if len(parts) == 1 or torch.get_num_threads() == 1:
        for begin, end in parts:
            kernel(*arguments, begin, end)
        return
    for work in [_pool(torch.get_num_threads()).submit(kernel, *arguments, *part) for part in parts]:
        work.result()


def even(tasks: int, smallest: int = 1) -> list[int]:
    """Edges that cut tasks into equal parts of `smallest` or more, for the threads at hand."""
    parts = max(1, min(PARTS_A_THREAD * torch.get_num_threads(), tasks // max(1, smallest)))
    return [tasks * part // parts for part in range(parts + 1)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")
